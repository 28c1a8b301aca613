"""The life of a push in numbers, and the decisions that are kept for who asks why."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.mailbox.push_model import Told, push_id
from gateway.mailbox.pushes import Cancelled, Event, Pushes, Send
from tests.mailbox.sleepers import send, sleeper
from tests.mailbox.test_push_when import fall_due, propose
from tests.mailbox.world import JULIET, ROMEO, World


def claimed(world: World) -> tuple[Event, Send]:
    event = world.events()[0]
    answer = world.pushes.claim(event, floor_ms=0)
    assert isinstance(answer, Send)
    return event, answer


def add_up(world: World) -> None:
    """Nothing waits, so every event and every push has its end."""
    found = world.pushes.counters()
    ended = sum(n for name, n in found.items() if name.startswith("cancelled:"))

    assert [] == world.events()
    assert found.get("raised", 0) == ended + found.get("claimed", 0)
    assert found.get("queued", 0) == sum(world.pushes.outcomes().values())


def test_every_event_and_every_push_ends_once(world: World) -> None:
    phone = sleeper(world)
    sleeper(world, "tablet")
    send(world, "1", "2", to="")
    event, answer = claimed(world)
    (registration,) = answer.registrations
    world.pushes.retry(event, registration, wait_ms=0)
    world.pushes.done(event, final=False)
    world.push_all()
    fall_due(world)
    again, answer = claimed(world)
    world.pushes.outcome(again, registration, "dead")
    world.pushes.done(again, final=False)
    send(world, "3")
    phone.resume(0)
    while world.events():
        if not isinstance(world.claim(), Cancelled):
            world.push_all()

    add_up(world)
    found = world.pushes.counters()
    assert (1, 1, 2) == (found["dead"], found["retried"], found["coalesced"])


def test_an_outcome_that_is_sent_again_counts_once(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = claimed(world)
    for _ in range(2):
        world.pushes.outcome(event, answer.registrations[0], "delivered")

    assert {"delivered": 1} == world.pushes.outcomes()
    assert 1 == world.pushes.counters()["sent"]


def test_an_attempt_that_a_dead_worker_may_have_made_is_counted_as_repeated(world: World) -> None:
    sleeper(world)
    send(world, "1")
    claimed(world)
    before = world.pushes.counters().get("repeated", 0)
    event, answer = claimed(world)
    world.pushes.retry(event, answer.registrations[0], wait_ms=0)
    world.pushes.done(event, final=False)
    fall_due(world)
    claimed(world)

    assert (0, 1, 1) == (before, world.pushes.counters()["repeated"], world.pushes.counters()["queued"])


def test_a_push_that_waits_for_a_retry_is_not_made_again_when_its_event_is_taken_over(world: World) -> None:
    """A worker died between the two steps."""
    sleeper(world)
    send(world, "1")
    event, answer = claimed(world)
    world.pushes.retry(event, answer.registrations[0], wait_ms=60_000)

    assert Cancelled("done") == world.pushes.claim(event, floor_ms=0)


def test_who_was_not_asked_is_no_attempt(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = claimed(world)
    world.pushes.retry(event, answer.registrations[0], wait_ms=0, told=Told(is_tried=False, why="breaker open"))
    world.pushes.done(event, final=False)
    fall_due(world)
    again, _ = claimed(world)

    found = world.pushes.counters()
    assert (0, 1, 0, 0) == (again.attempt, found["put-off"], found.get("sent", 0), found.get("repeated", 0))


def test_a_dead_letter_that_is_replayed_is_a_push_of_its_own(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = claimed(world)
    (registration,) = answer.registrations
    world.pushes.bury(event, registration, "BadTopic")
    world.pushes.outcome(event, registration, "refused")
    world.pushes.done(event, final=True)
    ((letter, fields),) = world.pushes.dead_letters()
    world.pushes.replay(letter, fields)
    world.push_all()

    add_up(world)
    assert {"refused": 1, "delivered": 1} == world.pushes.outcomes()


@pytest.mark.parametrize(("ms", "bucket"), [(0, "50"), (50, "50"), (51, "100"), (4999, "5000"), (10**7, "+Inf")])
def test_how_long_it_took_is_counted_by_provider(world: World, ms: int, bucket: str) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = claimed(world)
    world.pushes.outcome(event, answer.registrations[0], "delivered", told=Told(provider="apns", after_ms=ms))

    found = world.pushes.counters()
    assert (1, ms) == (found[f"latency:apns:{bucket}"], found["latency-sum:apns"])


# the trace


def told(world: World, name: str) -> Told:
    return Told(push_id=push_id(world.bucket, "1-0", name), provider="apns", why="Unregistered", after_ms=12)


def test_why_a_phone_was_or_was_not_woken_is_kept(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    event, answer = claimed(world)
    about = told(world, "phone")
    world.pushes.outcome(event, answer.registrations[0], "token-gone", told=about)
    world.pushes.done(event, final=True)
    send(world, "2")
    phone.resume(0)
    world.claim()
    first, second = world.pushes.trace(JULIET)

    assert ("token-gone", "Unregistered", about.push_id) == (first.what, first.why, first.push_id)
    assert {"provider": "apns", "ms": "12"} == first.more
    assert ("cancelled", "back", "") == (second.what, second.why, second.push_id)
    assert [first, second] == world.pushes.trace_of(about.push_id)


def test_neither_who_nor_what_is_in_a_trace(world: World) -> None:
    sleeper(world)
    send(world, "a secret")
    event, answer = claimed(world)
    world.pushes.outcome(event, answer.registrations[0], "delivered", told=told(world, "phone"))
    keys_of_it: Any = [*world.redis.scan_iter("*trace*"), *world.redis.scan_iter("*pushid*")]
    values = [
        *(world.redis.get(name) for name in world.redis.scan_iter("*pushid*")),
        *map(str, world.pushes.trace(JULIET)),
    ]

    assert 2 == len(keys_of_it)
    assert [] == [text for text in ("juliet", "romeo", "secret", "t0") if text in str(keys_of_it) + str(values)]


def test_a_trace_is_bounded_and_may_be_off(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    kept = []
    for length in (0, 3, 3, 3, 3, 3):
        phone = phone.taken_over(phone.resume(0))
        while events := world.events():
            Pushes(world.journal, trace_length=length).claim(events[0], floor_ms=0)
        kept.append(len(world.pushes.trace(JULIET)))
        phone.hibernate()

    assert [0, 1, 2, 3, 3, 3] == kept


def test_an_id_that_is_none_has_no_trace(world: World) -> None:
    assert [[], []] == [world.pushes.trace_of(text) for text in ("nonsense", push_id(world.bucket, "9-9", "nobody"))]


def test_a_removed_account_has_no_trace(world: World) -> None:
    sleeper(world)
    send(world, "1")
    world.pushes.claim(world.events()[0], floor_ms=0)
    world.push_all()
    world.accounts.remove(JULIET)

    assert [] == world.pushes.trace(JULIET)


# what shows nothing, and calls that end


def test_a_push_that_shows_nothing_goes_once_in_a_while(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = claimed(world)
    (registration,) = answer.registrations
    other = msgspec.structs.replace(registration, node="other")
    later = Event(**{**{f: getattr(event, f) for f in event.__slots__}, "id": "9-9"})

    assert [True, True, False, True, True] == [
        world.pushes.may_show_nothing(about, device, gap_ms=gap)
        for about, device, gap in (
            (event, registration, 60_000),
            (event, registration, 60_000),  # it is the same push, asked about again
            (later, registration, 60_000),
            (later, other, 60_000),
            (later, registration, 0),
        )
    ]


def ringing(world: World) -> None:
    """A phone and a tablet are told of a call; a second tablet's push fails."""
    for resource in ("phone", "tablet", "deaf"):
        sleeper(world, resource)
    world.deliver(propose("c1"), flags="swub")
    while world.events():
        event, answer = claimed(world)
        for device in answer.registrations:
            outcome = "refused" if device.resource == "deaf" else "delivered"
            world.pushes.outcome(event, device, outcome, told=Told(call=answer.call))
        world.pushes.done(event, final=True)


def retract(world: World) -> None:
    world.deliver(
        f"<message from='{ROMEO}'><retract xmlns='urn:xmpp:jingle-message:0' id='c1'/></message>".encode(), flags="sbx"
    )


def test_the_end_of_a_call_goes_to_exactly_those_that_rang(world: World) -> None:
    ringing(world)
    retract(world)
    retract(world)
    (event,) = world.events()
    _, answer = claimed(world)

    assert ("call-ended", "call-ended", "c1") == (event.reason, answer.kind, answer.call)
    assert {"phone", "tablet"} == {device.resource for device in answer.registrations}


def test_a_call_that_ended_while_its_push_was_under_way_is_told_of_afterwards(world: World) -> None:
    sleeper(world)
    world.deliver(propose("c1"), flags="swub")
    event, answer = claimed(world)
    retract(world)
    before = world.reasons()
    world.pushes.outcome(event, answer.registrations[0], "delivered", told=Told(call="c1"))

    assert (["queued"], ["queued", "call-ended"]) == (before, world.reasons())


def test_who_is_back_is_not_told_that_a_call_has_ended(world: World) -> None:
    phone = sleeper(world)
    world.deliver(propose("c1"), flags="swub")
    event, answer = claimed(world)
    world.pushes.outcome(event, answer.registrations[0], "delivered", told=Told(call="c1"))
    world.pushes.done(event, final=True)
    retract(world)
    phone.resume(0)

    assert Cancelled("no-registration") == world.claim()
