"""Deliveries between slots of a Redis Cluster, in three steps: whatever dies in between, each step is done once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.model import Delivery, Origin, Status
from gateway.xmpp.stanza import end_tag_at
from tests.mailbox.world import CHAT, JULIET, Client, World, a_message, waited

NURSE = "nurse@localhost"
"""her mailbox lies in another slot than Juliet's"""

REFUSAL = b"<message type='error'/>"


@dataclass
class Chamber:
    """The nurse has a phone and a tablet that wants copies; Juliet is away."""

    world: World
    phone: Client
    tablet: Client

    def arguments(self, text: str, count: int, *, to: str = JULIET, flags: str = CHAT + "ca") -> tuple[Any, ...]:
        grip, stanza = self.phone.grip, a_message(text)
        return (
            to, "", f"{NURSE}/phone", grip.sid, count, 600_000, "m", "chat", flags, *self.world.mailbox.limits, stanza,
            grip.epoch, grip.sid, NURSE, end_tag_at(stanza),
        )  # fmt: skip

    def dispatch(self, text: str, count: int, **options: Any) -> list[Any]:
        """The first step alone: then its process died."""
        arguments = self.arguments(text, count, **options)
        reply = self.world.journal.call(
            "FCALL", function("dispatch"), 1, self.phone.grip.at, *arguments, "deliver", self.world.at
        )
        return list(reply)

    def send(self, text: str, count: int, *, to: str = JULIET, copies: list[Any] | None = None) -> Delivery:
        stanza, grip = a_message(text), self.phone.grip
        copied = [] if copies is None else copies
        answer: Delivery = waited(
            lambda done: self.world.mailbox.deliver(
                user=to, resource="", sender=f"{NURSE}/phone", origin=Origin(grip.sid, count, 600_000, grip),
                kind="m", type="chat", flags=CHAT + "ca", stanza=stanza, split=end_tag_at(stanza), done=done,
                error_of=lambda _why: REFUSAL, copied=copied.extend,
            )
        )  # fmt: skip
        return answer

    def pick_up(self, *, age_ms: int = 0) -> int:
        """What a sweeper does; waits until all of it is done."""
        count = self.world.mailbox.pick_up(
            self.phone.grip.at, NURSE, done=lambda _outcome: None, error_for=lambda _stanza, _flags: REFUSAL,
            age_ms=age_ms,
        )  # fmt: skip
        for _ in range(3):  # a step is submitted when the one before it is answered
            self.world.journal.call("PING")
        return count

    def got(self) -> list[bytes]:
        """What waits for Juliet, without the archive's ids."""
        waiting = self.world.waiting("offline", JULIET)
        return [stanza.partition(b"<stanza-id")[0].removesuffix(b"</message>") + b"</message>" for stanza in waiting]

    def archived(self) -> int:
        """Messages in the nurse's archive."""
        return int(self.world.redis.xlen(keys.key(self.phone.grip.at, "archive", NURSE)))  # type: ignore[arg-type]

    def under_way(self) -> int:
        """Transfers of hers."""
        return int(self.world.redis.hlen(keys.key(self.phone.grip.at, "transfers", NURSE)))  # type: ignore[arg-type]


@pytest.fixture
def chamber(world: World) -> Chamber:
    world.journal.is_sharded = True
    world.account(NURSE)
    tablet = world.bind("tablet", user=NURSE)
    tablet.carbons()
    phone = world.bind("phone", user=NURSE)
    phone.enable()

    assert phone.grip.at != world.at
    return Chamber(world, phone, tablet)


def test_all_three_steps_are_what_one_step_is_on_one_redis(chamber: Chamber) -> None:
    copies: list[Any] = []
    outcome = chamber.send("one", 1, copies=copies)
    chamber.world.journal.call("PING")

    assert (Status.OFFLINE, True) == (outcome.status, outcome.is_kept)
    assert [a_message("one")] == chamber.got()
    assert "1" == chamber.phone.marks()["h"]
    assert 1 == chamber.archived()
    assert [chamber.tablet.sid] == [each.sid for each in copies]
    assert [] == chamber.phone.stanzas()
    assert 1 == len(chamber.tablet.stanzas())
    assert 0 == chamber.under_way()


def test_what_was_counted_and_not_delivered_is_picked_up_in_order(chamber: Chamber) -> None:
    for count in range(1, 13):
        assert [b"ok", 1] == chamber.dispatch(str(count), count)[:2]

    assert "12" == chamber.phone.marks()["h"]
    assert [] == chamber.got()
    assert 12 == chamber.pick_up()
    assert [a_message(str(count)) for count in range(1, 13)] == chamber.got()
    assert 12 == chamber.archived()
    assert 0 == chamber.under_way()
    assert 0 == chamber.pick_up()


def test_what_was_delivered_and_not_confirmed_is_confirmed_without_a_second_delivery(chamber: Chamber) -> None:
    chamber.dispatch("one", 1)
    chamber.world.journal.call("FCALL", function("deliver"), 1, chamber.world.at, *chamber.arguments("one", 1))

    assert 1 == chamber.pick_up()
    assert [a_message("one")] == chamber.got()
    assert 1 == chamber.archived()
    assert 1 == len(chamber.tablet.stanzas())


def test_two_that_pick_up_the_same_do_it_once(chamber: Chamber) -> None:
    chamber.dispatch("one", 1)
    for _ in range(2):
        chamber.world.mailbox.pick_up(chamber.phone.grip.at, NURSE, done=lambda _outcome: None)
    chamber.pick_up()

    assert [a_message("one")] == chamber.got()
    assert 1 == chamber.archived()
    assert 1 == len(chamber.tablet.stanzas())


def test_what_the_journal_sends_twice_is_dispatched_once_even_when_it_has_ended_meanwhile(chamber: Chamber) -> None:
    assert [b"ok", 1] == chamber.dispatch("one", 1)[:2]
    assert [b"ok", 1] == chamber.dispatch("one", 1)[:2]
    chamber.pick_up()

    assert [b"done", 1] == chamber.dispatch("one", 1)[:2]
    assert [a_message("one")] == chamber.got()
    assert 0 == chamber.under_way()


def test_a_resumed_session_s_lost_messages_come_before_what_it_sends_next(chamber: Chamber) -> None:
    chamber.dispatch("one", 1)
    chamber.dispatch("two", 2)
    chamber.phone.hibernate()
    chamber.phone = chamber.phone.taken_over(chamber.phone.resume(0))
    chamber.send("three", 3)

    assert [a_message("one"), a_message("two"), a_message("three")] == chamber.got()


def test_a_new_session_s_messages_come_behind_those_that_its_predecessor_had_under_way(chamber: Chamber) -> None:
    chamber.dispatch("one", 1)
    chamber.phone = chamber.world.bind("phone", user=NURSE)
    chamber.phone.enable()
    chamber.send("two", 1)

    assert [a_message("one"), a_message("two")] == chamber.got()


def test_a_refused_message_comes_back_once(chamber: Chamber) -> None:
    outcome = chamber.send("one", 1, to="tybalt@localhost")

    assert (Status.NO_ACCOUNT, 1) == (outcome.status, outcome.answered)
    assert [REFUSAL] == chamber.phone.stanzas()
    assert 0 == chamber.under_way()
    assert 0 == chamber.archived()


def test_a_sweeper_returns_a_refused_message_of_a_process_that_died(chamber: Chamber) -> None:
    chamber.dispatch("one", 1, to="tybalt@localhost")
    chamber.world.mailbox.pick_up(chamber.phone.grip.at, NURSE, done=lambda _outcome: None)  # a gateway's bind
    chamber.world.journal.call("PING")

    assert [] == chamber.phone.stanzas()
    assert 1 == chamber.pick_up()
    assert [REFUSAL] == chamber.phone.stanzas()
    assert 0 == chamber.under_way()


def test_a_stale_session_dispatches_nothing(chamber: Chamber) -> None:
    stale = chamber.arguments("one", 1)
    chamber.phone.hibernate()
    chamber.phone.resume(0)
    reply = chamber.world.journal.call(
        "FCALL", function("dispatch"), 1, chamber.phone.grip.at, *stale, "deliver", chamber.world.at
    )

    assert b"stale" == reply[0]
    assert 0 == chamber.under_way()


def test_transfers_of_before_the_clock_went_back_are_taken_up_at_once(chamber: Chamber) -> None:
    """A new master has another clock, or somebody has set it: an hour must not pass first."""
    chamber.dispatch("one", 1)
    at, store = chamber.phone.grip.at, chamber.world.redis
    found: Any = store.hgetall(keys.key(at, "transfers", NURSE))
    ((name, packed),) = found.items()
    written_at, *arguments = msgspec.msgpack.decode(packed)
    store.hset(keys.key(at, "transfers", NURSE), name, msgspec.msgpack.encode([written_at + 3_600_000, *arguments]))
    store.zincrby(keys.key(at, "transferring"), 3_600_000, NURSE)

    assert (NURSE,) == chamber.world.sweep.chores(keys.bucket_of(NURSE)).transferring
    assert 1 == chamber.pick_up(age_ms=1000)
    assert [a_message("one")] == chamber.got()


def test_young_transfers_are_left_to_who_wrote_them_and_old_ones_are_the_sweeper_s(chamber: Chamber) -> None:
    chamber.dispatch("one", 1)
    bucket = keys.bucket_of(NURSE)

    assert 0 == chamber.pick_up(age_ms=60_000)
    assert () == chamber.world.sweep.chores(bucket).transferring
    chamber.world.redis.zadd(keys.key(chamber.phone.grip.at, "transferring"), {NURSE: 1})
    assert (NURSE,) == chamber.world.sweep.chores(bucket).transferring
    chamber.pick_up()
    assert () == chamber.world.sweep.chores(bucket).transferring
