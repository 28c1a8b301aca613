"""A master that was replaced while it hung goes on, and replicas that were not chosen still follow it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from gateway.mailbox import replicas
from gateway.mailbox.dial import Address
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.replicas import HostPort, Replicas, role_of
from tests.mailbox.world import a_message
from tests.sentinel.test_failover import a_town, told_of_a_message
from tests.support.processes import free_ports
from tests.support.redis_sentinel import RedisSentinel

ONE, OTHER = ("127.0.0.1", 1), ("127.0.0.1", 2)


def test_what_only_a_replica_has_that_was_not_chosen_is_not_answered(tmp_path: Path) -> None:
    with RedisSentinel(tmp_path) as redis, a_town(redis, replicas=1) as town:
        town.account()
        phone = town.client()
        master = redis.master_port
        chosen, _ = (port for port in redis.server_ports if port != master)
        redis.client(chosen).execute_command("REPLICAOF", "NO", "ONE")  # what sentinels do first
        answers = told_of_a_message(town)
        RedisSentinel.wait(lambda: not town.journal.is_up)
        with pytest.raises(StoreUnavailable, match=f"may have become master in its place: 127.0.0.1:{chosen}"):
            town.journal.wait_up(1.0)
        before = list(answers)
        redis.client(chosen).execute_command("REPLICAOF", "127.0.0.1", master)
        RedisSentinel.wait(lambda: len(answers) == 1)

        assert [] == before
        assert [a_message("1")] == phone.stanzas()


def test_a_server_says_what_it_is(tmp_path: Path) -> None:
    with RedisSentinel(tmp_path) as redis:
        master = redis.master_port
        replica = next(port for port in redis.server_ports if port != master)
        ask = partial(role_of, Address())
        found = [ask(("127.0.0.1", port)) for port in (master, replica, *free_ports(1))]
        stranger = role_of(Address(username="nobody", password="wrong"), ("127.0.0.1", master))
        redis.pause_master()
        with pytest.raises(StoreUnavailable, match="timed out"):
            ask(("127.0.0.1", master))
        redis.go_on(master)

    assert ["master", "slave", ""] == found
    assert "" == stranger


class Lab:
    """Replicas of a made-up master; `roles` is what they say, None if they hang."""

    def __init__(self) -> None:
        self.roles: dict[HostPort, str | None] = {}
        self.asked: list[HostPort] = []
        self.replicas = Replicas(self._role)
        self.replicas.follow("master")

    def _role(self, at: HostPort) -> str:
        self.asked.append(at)
        role = self.roles[at]
        if role is None:
            raise StoreUnavailable("timed out")
        return role

    def look(self, *here: HostPort) -> bool:
        """Whether the master may go on."""
        listed = [[host.encode(), str(port).encode(), b"7"] for host, port in here]
        try:
            self.replicas.look([b"master", 7, listed])
        except StoreUnavailable:
            return False
        return True


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_nobody_is_asked_while_all_are_there(lab: Lab) -> None:
    assert [True] * 3 == [lab.look(ONE), lab.look(ONE, OTHER), lab.look(OTHER, ONE)]
    assert [] == lab.asked


def test_one_that_is_dead_is_asked_once_until_it_comes_back(lab: Lab) -> None:
    lab.look(ONE, OTHER)
    lab.roles[OTHER] = ""
    found = [lab.look(ONE), lab.look(ONE), lab.look(ONE, OTHER), lab.look(ONE)]

    assert [True] * 4 == found
    assert [OTHER, OTHER] == lab.asked


def test_one_that_has_only_lost_its_link_is_asked_each_time(lab: Lab) -> None:
    lab.look(ONE, OTHER)
    lab.roles[OTHER] = "slave"
    found = [lab.look(ONE), lab.look(ONE)]
    lab.roles[OTHER] = "master"

    assert [True, True, False] == [*found, lab.look(ONE)]


@pytest.mark.parametrize("role", ["master", None], ids=["master", "hangs"])
def test_one_that_may_be_master_holds_up_the_former_one_for_as_long_as_a_failover_takes(
    lab: Lab, role: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.look(ONE, OTHER)
    lab.roles[OTHER] = role
    found = [lab.look(ONE), lab.look(ONE)]
    lab.replicas.follow("master")  # again: nothing is known to have changed
    found.append(lab.look(ONE))
    monkeypatch.setattr(replicas, "DOUBT_S", 0.0)

    assert [False] * 3 == found
    assert [True, True] == [lab.look(ONE), lab.look(ONE)]
    assert 4 == len(lab.asked)


def test_a_doubt_ends_when_it_follows_again(lab: Lab) -> None:
    lab.look(ONE)
    lab.roles[ONE] = "master"
    found = [lab.look(), lab.look(ONE), lab.look()]

    assert [False, True, False] == found


def test_replicas_of_another_master_are_nothing_to_this_one(lab: Lab) -> None:
    lab.look(ONE, OTHER)
    lab.replicas.follow("the next master")

    assert lab.look(ONE)
    assert [] == lab.asked


def test_one_that_is_no_master_itself_is_left(lab: Lab) -> None:
    with pytest.raises(StoreUnavailable, match="no master any more"):
        lab.replicas.look([b"slave", b"127.0.0.1", 6379, b"connected", 7])
