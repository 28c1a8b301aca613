"""Redis becomes another one while a session is taken: its owner does not know it yet, and cannot speak for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.mailbox import RESUME_TRIES
from gateway.mailbox.model import Resumed
from tests.mailbox.world import Client, World, a_message
from tests.sentinel.old_disk import OldDisk

Between = Callable[[Callable[[], object], int], None]


@pytest.fixture
def between(world: World, monkeypatch: pytest.MonkeyPatch) -> Between:
    """What happens before the next answers to `bind` or `resume` reach whoever asked: on a cluster, that waits."""
    world.journal.proof = lambda _converse, _prefixes, _run_id: None  # it knows of no session

    def plan(act: Callable[[], object], times: int) -> None:
        left = [act] * times

        def go_on(_at: str, _user: str) -> None:
            if left:
                left.pop()()

        monkeypatch.setattr(world.mailbox, "_go_on", go_on)

    return plan


def come_back(disk: OldDisk, world: World) -> None:
    disk.come_back()
    assert b"PONG" == world.journal.call("PING", timeout_s=20.0)


def died(disk: OldDisk, world: World) -> None:
    """With nothing lost."""
    disk.keep()
    come_back(disk, world)


def can_be_resumed_with_all(world: World, phone: Client) -> bool:
    """A session that nobody has verified since can only be resumed with what it had then."""
    for name in ("3", "4"):
        world.deliver(a_message(name))
    tail = int(phone.marks()["tail"])
    assert tail
    phone.hibernate()
    return isinstance(phone.resume(tail), Resumed)


def test_a_session_that_was_just_resumed_is_not_left_in_doubt(disk: OldDisk, world: World, between: Between) -> None:
    phone = world.client()
    world.deliver(a_message("1"))
    phone.hibernate()
    between(lambda: died(disk, world), 1)
    phone = phone.taken_over(phone.resume(0))

    assert "kept" not in phone.marks()
    assert can_be_resumed_with_all(world, phone)


def test_a_session_that_was_just_bound_is_not_left_in_doubt(disk: OldDisk, world: World, between: Between) -> None:
    between(lambda: died(disk, world), 1)
    phone = world.client()

    assert "kept" not in phone.marks()
    assert can_be_resumed_with_all(world, phone)


def test_a_resumption_that_was_lost_is_asked_for_again(disk: OldDisk, world: World, between: Between) -> None:
    phone = world.client()
    world.deliver(a_message("1"))
    phone.hibernate()
    disk.keep()
    between(lambda: come_back(disk, world), 1)
    phone = phone.taken_over(phone.resume(0))

    assert ("live", "2") == (phone.marks()["state"], phone.marks()["epoch"])
    assert [a_message("1")] == phone.stanzas()
    assert can_be_resumed_with_all(world, phone)


def test_a_bind_that_was_lost_is_asked_for_again(disk: OldDisk, world: World, between: Between) -> None:
    disk.keep()
    between(lambda: come_back(disk, world), 1)
    phone = world.client()

    assert can_be_resumed_with_all(world, phone)


def test_nobody_is_let_in_while_redis_is_another_each_time(disk: OldDisk, world: World, between: Between) -> None:
    between(lambda: died(disk, world), RESUME_TRIES)
    with pytest.raises(StoreUnavailable):
        world.client()
