"""What a push worker asks when it claims an event: is it still true, and for whom?"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox.pushes import Cancelled, Later, Registration, Send
from tests.mailbox.sleepers import send, sleeper
from tests.mailbox.world import World, a_message, a_world

# claims


def test_a_claim_tells_how_many_wait_and_the_newest(world: World) -> None:
    sleeper(world)
    send(world, "1", "2")
    send(world, "typing", flags="sb")
    answer = world.claim()
    assert isinstance(answer, Send)
    assert answer.newest is not None

    assert (2, a_message("2")) == (answer.count, answer.newest.stanza)


def test_a_phone_that_is_back_is_not_pushed(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    phone.resume(0)

    assert Cancelled("back") == world.claim()
    assert [] == world.events()


def test_an_answer_cancels_a_push_for_an_overdue_one(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "1")
    phone.overdue()
    phone.ack(1)

    assert Cancelled("back") == world.claim()


def test_a_claim_sent_twice_answers_the_same(world: World) -> None:
    sleeper(world)
    send(world, "1")

    assert world.claim(floor_ms=60_000) == world.claim(floor_ms=60_000)


def test_a_claim_by_another_worker_leaves_out_what_has_its_outcome(world: World) -> None:
    phone = world.client()
    phone.register(node="a")
    phone.register(node="b")
    phone.hibernate()
    send(world, "1")
    first = world.claim()
    assert isinstance(first, Send)
    world.pushes.outcome(world.events()[0], first.registrations[0], "delivered")
    second = world.claim()
    assert isinstance(second, Send)

    assert set(first.registrations[1:]) == set(second.registrations)


def test_too_soon_after_a_push_the_next_one_waits_and_comes_back_by_itself(world: World) -> None:
    sleeper(world)
    send(world, "1")
    world.push_all()
    send(world, "2")
    answer = world.claim(floor_ms=60_000)
    assert isinstance(answer, Later)
    while_waiting = world.events()
    send(world, "3")
    key = f"{world.at}retry"
    members: Any = world.redis.zrange(key, 0, -1)
    for member in members:
        world.redis.zadd(key, {member: 1})
    world.sweep.chores(world.bucket)

    assert 0 < answer.wait_ms <= 60_000
    assert ([], 1, 0) == (while_waiting, len(world.events()), world.redis.zcard(key))


def test_waiting_for_the_floor_twice_is_one_event(world: World) -> None:
    sleeper(world)
    send(world, "1")
    world.push_all()
    send(world, "2")
    event = world.events()[0]
    for _ in range(2):
        world.pushes.claim(event, floor_ms=60_000)

    assert 1 == world.redis.zcard(f"{world.at}retry")


def test_a_call_does_not_wait_for_the_floor(world: World) -> None:
    sleeper(world)
    send(world, "1")
    world.push_all()
    send(world, "ring", flags="swub")

    assert isinstance(world.claim(floor_ms=60_000), Send)


def test_what_another_event_has_covered_needs_no_push_of_its_own(world: World) -> None:
    sleeper(world)
    send(world, "1")
    send(world, "ring", flags="swub")
    message, call = world.events()
    first = world.pushes.claim(call, floor_ms=0)

    assert isinstance(first, Send)
    assert Cancelled("nothing-waiting") == world.pushes.claim(message, floor_ms=0)


def test_a_retry_is_for_one_registration_and_keeps_its_id(world: World) -> None:
    phone = world.client()
    phone.register(node="a")
    phone.register(node="b")
    phone.hibernate()
    send(world, "1")
    event, answer = world.events()[0], world.claim()
    assert isinstance(answer, Send)
    retried = answer.registrations[0]
    for _ in range(2):  # sent twice, it is one
        world.pushes.retry(event, retried, wait_ms=0)
    world.pushes.outcome(event, answer.registrations[1], "delivered")
    world.pushes.done(event, final=False)
    world.sweep.chores(world.bucket)
    (again,) = world.events()
    claimed = world.pushes.claim(again, floor_ms=60_000)

    assert (event.id, retried.field, 1) == (again.id, again.only, again.attempt)
    assert isinstance(claimed, Send)
    assert (retried,) == claimed.registrations


def test_a_retry_after_the_session_expired_is_for_what_waits_offline(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    event, answer = world.events()[0], world.claim()
    assert isinstance(answer, Send)
    world.pushes.retry(event, answer.registrations[0], wait_ms=0)
    world.pushes.done(event, final=False)
    phone.expire()
    world.sweep.chores(world.bucket)
    again = world.claim()

    assert isinstance(again, Send)
    assert (1, answer.registrations) == (again.count, again.registrations)


def test_a_retry_for_a_device_that_bound_anew_is_cancelled(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    event, answer = world.events()[0], world.claim()
    assert isinstance(answer, Send)
    world.pushes.retry(event, answer.registrations[0], wait_ms=0)
    world.pushes.done(event, final=False)
    phone.expire()
    world.bind("phone")
    world.sweep.chores(world.bucket)

    assert isinstance(world.claim(), Cancelled)


@pytest.mark.parametrize(
    ("failed", "said_ms", "expected"),
    [("t0", 0, True), ("another", 0, False), ("t0", 1, False), ("t0", 2**52, True)],
    ids=["the same", "replaced", "registered after the provider's word", "registered before it"],
)
def test_a_dead_token_goes_only_if_it_is_the_same_and_older(
    world: World, failed: str, said_ms: int, expected: bool
) -> None:
    phone = sleeper(world)
    send(world, "1")
    event, answer = world.events()[0], world.claim()
    assert isinstance(answer, Send)
    kept = answer.registrations[0]
    dead = Registration(
        service=kept.service, node=kept.node, sid=kept.sid, resource=kept.resource, app=kept.app, token=failed
    )
    is_gone = world.pushes.outcome(event, dead, "token-gone", dead=True, at_ms=said_ms)

    assert expected is is_gone
    assert ("0" if expected else "1") == phone.marks()["reg"]
    assert {"token-gone": 1} == world.pushes.outcomes()


def test_a_dead_letter_can_be_read_and_replayed_and_holds_no_token(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = world.events()[0], world.claim()
    assert isinstance(answer, Send)
    world.pushes.bury(event, answer.registrations[0], "gave up")
    world.pushes.outcome(event, answer.registrations[0], "dead")
    world.pushes.done(event, final=True)
    ((name, letter),) = world.pushes.dead_letters()
    world.pushes.replay(name, letter)
    (again,) = world.events()

    assert ("gave up", "chat") == (letter["why"], letter["app"])
    assert "t0" not in letter.values()
    assert [] == world.pushes.dead_letters()
    assert (event.id, answer.registrations[0].field) == (again.id, again.only)
    assert isinstance(world.claim(), Send)


def test_a_node_elsewhere_sees_the_same_events(world: World) -> None:
    sleeper(world)
    with a_world(world.url, node="n2") as other:
        other.deliver(a_message("1"))

        assert ["queued"] == other.reasons()
