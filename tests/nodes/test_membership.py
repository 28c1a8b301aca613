"""Who may be a gateway under which name, on which data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import gevent
import pytest

from gateway.mailbox import keys, library, nodes
from gateway.mailbox.journal import Journal
from gateway.mailbox.membership import DataTooNew, Membership, NodeNameTaken, members
from tests.support.pieces import eventually

HEARTBEAT_S = 0.1


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    journal = Journal(redis_url)
    journal.start()
    journal.wait_up(20)
    yield journal
    journal.stop()


def a_member(journal: Journal, name: str = "n1") -> Membership:
    return Membership(journal, name, heartbeat_s=HEARTBEAT_S)


def never() -> None:
    raise AssertionError("replaced")


def test_a_name_is_refused_while_its_owner_beats(journal: Journal) -> None:
    owner = a_member(journal)
    owner.join()
    owner.beat(never)

    def beats() -> None:
        while True:
            owner.beat(never)
            gevent.sleep(HEARTBEAT_S / 4)

    beating = gevent.spawn(beats)
    with pytest.raises(NodeNameTaken):
        a_member(journal).join()
    beating.kill()
    a_member(journal).join()


def test_the_name_of_one_that_was_declared_dead_or_has_left_is_free_at_once(journal: Journal) -> None:
    for leave in (nodes.declare_dead, partial(nodes.leave, timeout_s=10)):
        owner = a_member(journal)
        owner.join()
        owner.beat(never)
        leave(journal, "n1")
        a_member(journal).join()


def test_who_was_replaced_while_it_was_paused_learns_it_with_its_next_heartbeat(journal: Journal) -> None:
    paused, successor, told = a_member(journal), a_member(journal), []
    paused.join()
    successor.join()
    paused.beat(lambda: told.append("replaced"))
    successor.beat(never)

    eventually(lambda: told == ["replaced"], "the paused one to learn it")


def test_who_was_forgotten_is_known_again_with_its_next_heartbeat(journal: Journal) -> None:
    member = a_member(journal)
    member.join()
    nodes.forget(journal, "n1")
    member.beat(never)

    eventually(lambda: members(journal).get("n1") is not None, "the member to be known")
    assert library.name() == members(journal)["n1"].library


def test_a_gateway_knows_whether_another_one_stays(journal: Journal) -> None:
    first, second = a_member(journal), a_member(journal, "n2")
    for one in (first, second):
        one.join()
        one.beat(never)
    stays = first.begin_to_leave(5), second.begin_to_leave(5)

    assert (True, False) == stays


def test_data_of_a_newer_version_is_not_touched(journal: Journal) -> None:
    a_member(journal).join()
    written = journal.call("GET", keys.DATA_VERSION)
    journal.call("SET", keys.DATA_VERSION, library.VERSION + 1)
    with pytest.raises(DataTooNew, match="go on with the newer build"):
        a_member(journal).join()

    assert str(library.VERSION).encode() == written
