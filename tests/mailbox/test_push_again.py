"""Pushes that wait to be tried again: one for each device is enough, and the books are right whoever dies meanwhile."""

from __future__ import annotations

from dataclasses import replace

from gateway.mailbox import keys
from gateway.mailbox.push_life import PushLife
from gateway.mailbox.push_model import Told
from gateway.mailbox.pushes import Cancelled, Event, Send
from tests.mailbox.sleepers import send, sleeper
from tests.mailbox.test_push_when import fall_due
from tests.mailbox.world import JULIET, World


def begin(world: World, number: int = 0) -> tuple[Event, Send]:
    """A worker takes the event with this number."""
    event = world.events()[number]
    answer = world.pushes.claim(event, floor_ms=0)
    assert isinstance(answer, Send)
    return event, answer


def fail(world: World, event: Event, answer: Send, *, is_tried: bool = True) -> None:
    """All of it is to be tried again, in a minute."""
    for registration in answer.registrations:
        world.pushes.retry(event, registration, wait_ms=60_000, told=Told(is_tried=is_tried, why="503"))
    world.pushes.done(event, final=False)


def waiting(world: World) -> int:
    return int(world.redis.zcard(keys.key(world.at, "retries")))


def life(world: World) -> PushLife:
    return PushLife.of(world.pushes.counters())


def outage(world: World, messages: int = 5) -> None:
    """For each message a push that fails."""
    for number in range(messages):
        send(world, str(number))
        fail(world, *begin(world), is_tried=number % 2 == 0)


def test_of_many_pushes_of_a_device_that_wait_only_the_newest_is_kept(world: World) -> None:
    sleeper(world)
    outage(world)
    counted = life(world)

    assert (1, 5, {"superseded": 4}, 1) == (
        waiting(world),
        counted.queued,
        counted.withdrawn,
        counted.pushes_under_way,
    )
    fall_due(world)
    _, answer = begin(world)
    assert 5 == answer.count


def test_each_device_has_its_own(world: World) -> None:
    sleeper(world)
    sleeper(world, "tablet")
    for number in range(3):
        send(world, str(number), to="")
        while world.events():
            fail(world, *begin(world))

    assert 2 == waiting(world)


def test_an_older_push_that_fails_late_gives_way_to_the_newer_one_that_waits(world: World) -> None:
    sleeper(world)
    send(world, "1")
    older = begin(world)
    send(world, "2")
    fail(world, *begin(world, 1))
    fail(world, *older)
    fall_due(world)
    (left,) = world.events()

    assert older[0].id != left.id
    assert ({"superseded": 1}, 1) == (life(world).withdrawn, life(world).pushes_under_way)


def test_a_retry_that_has_come_due_gives_way_as_well(world: World) -> None:
    sleeper(world)
    send(world, "1")
    fail(world, *begin(world))
    fall_due(world)
    send(world, "2")
    older, newer = sorted(world.events(), key=lambda event: event.attempt, reverse=True)
    answer = world.pushes.claim(newer, floor_ms=0)
    assert isinstance(answer, Send)
    fail(world, newer, answer)

    assert Cancelled("superseded") == world.pushes.claim(older, floor_ms=0)
    assert (1, 0) == (waiting(world), len(world.events()))


def test_a_newer_push_that_was_delivered_told_of_all(world: World) -> None:
    sleeper(world)
    send(world, "1")
    fail(world, *begin(world))
    send(world, "2")
    world.push_all()

    assert 0 == waiting(world)
    assert (1, {"superseded": 1}, 0) == (
        life(world).ended["delivered"],
        life(world).withdrawn,
        life(world).pushes_under_way,
    )


def test_an_older_push_that_is_delivered_does_not_speak_for_a_newer_one(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = begin(world)
    send(world, "2")
    fail(world, *begin(world, 1))
    world.pushes.outcome(event, answer.registrations[0], "delivered")
    world.pushes.done(event, final=True)

    assert (1, {}) == (waiting(world), life(world).withdrawn)


def test_the_same_push_may_wait_again_and_again(world: World) -> None:
    sleeper(world)
    send(world, "1")
    for _ in range(3):
        fail(world, *begin(world))
        fall_due(world)
    world.push_all()

    assert (1, 1, {}, 0) == (
        life(world).queued,
        life(world).ended["delivered"],
        life(world).withdrawn,
        life(world).pushes_under_way,
    )


def test_why_there_was_no_push_is_in_the_trace(world: World) -> None:
    sleeper(world)
    outage(world, 2)

    assert ["superseded"] == [line.why for line in world.pushes.trace(JULIET) if line.what == "cancelled"]


# whoever dies, the books are right


def test_a_phone_that_is_back_after_a_worker_died_with_its_push_ends_that_push(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    event, _ = begin(world)
    phone.resume(0)

    assert Cancelled("back") == world.pushes.claim(event, floor_ms=0)
    assert (1, 0, {}, {"back": 1}, 0) == (
        life(world).claimed,
        life(world).events_waiting,
        life(world).cancelled,
        life(world).withdrawn,
        life(world).pushes_under_way,
    )


def test_a_part_that_waits_for_a_retry_when_its_worker_dies_and_its_phone_is_back_ends_once(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    event, answer = begin(world)
    world.pushes.retry(event, answer.registrations[0], wait_ms=60_000)
    phone.resume(0)
    world.pushes.claim(event, floor_ms=0)
    fall_due(world)
    world.claim()

    assert (1, {"back": 1}, 0, 0) == (
        life(world).queued,
        life(world).withdrawn,
        life(world).events_waiting,
        life(world).pushes_under_way,
    )


def test_a_retry_whose_device_has_unregistered_ends(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = begin(world)
    fail(world, event, answer)
    world.pushes.outcome(replace(event, id="9-9"), answer.registrations[0], "token-gone", dead=True)
    fall_due(world)

    assert Cancelled("no-registration") == world.claim()
    assert {"no-registration": 1} == life(world).withdrawn
