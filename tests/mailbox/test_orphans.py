"""Sessions that Redis has as this process's, but without a connection: they sleep or end, and nobody else's."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.model import Placed
from gateway.session import tails
from gateway.session.node import Registry
from gateway.session.tails import Tails
from tests.mailbox.world import CHAT, World, a_world


def the_check(world: World) -> Tails:
    """Each look comes late enough: whoever has no connection at two of them has none."""
    looks = itertools.count(0, tails.ORPHAN_S)
    told: list[Placed] = []
    return Tails(world.mailbox, Registry(), announce=told.extend, clock=lambda: next(looks))


def after_each_bucket(world: World, then: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """`then` runs with the prefix of each bucket that a check has just asked for."""
    ask = Journal.call

    def asks(self: Journal, *command: str | bytes | int, timeout_s: float | None = None) -> object:
        answer = ask(self, *command) if timeout_s is None else ask(self, *command, timeout_s=timeout_s)
        if self is world.journal and "tails" in str(command[1]):
            then(str(command[3]))
        return answer

    monkeypatch.setattr(Journal, "call", asks)


def test_a_session_without_a_connection_sleeps_at_the_second_look(world: World) -> None:
    phone = world.client()
    check = the_check(world)
    check.check()
    first = phone.marks()["state"]
    check.check()

    assert ("live", "asleep") == (first, phone.marks()["state"])


def test_what_cannot_be_resumed_ends_and_what_it_held_waits_for_others(world: World) -> None:
    phone = world.bind("phone")
    phone.presence(1)
    world.deliver(b"<message id='1'/>", flags=CHAT)
    check = the_check(world)
    check.check()
    check.check()
    tablet = world.bind("tablet")
    tablet.presence(0)

    assert {} == phone.marks()
    assert [b"<message id='1'/>"] == [entry.stanza for entry in tablet.read() if entry.kind == "m"]


def test_who_was_resumed_elsewhere_while_a_check_goes_on_stays_awake(
    world: World, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = world.client()
    check = the_check(world)
    check.check()
    with a_world(redis_url, node="n2") as other:

        def resumes_elsewhere(bucket: str) -> None:
            if bucket == world.at and phone.marks()["node"] == "n1":
                phone.resume(0, world=other)

        after_each_bucket(world, resumes_elsewhere, monkeypatch)
        check.check()

        assert ("live", "n2") == (phone.marks()["state"], phone.marks()["node"])


def test_who_is_just_resumed_is_not_who_had_no_connection_before(world: World) -> None:
    phone = world.client()
    check = the_check(world)
    check.check()
    again = phone.taken_over(phone.resume(0))  # not in the registry yet: this very moment
    check.check()
    first = again.marks()["state"]
    check.check()

    assert ("live", "asleep") == (first, again.marks()["state"])


def test_a_check_asks_for_every_bucket(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    after_each_bucket(world, asked.append, monkeypatch)
    the_check(world).check()

    assert list(keys.PREFIXES) == asked
