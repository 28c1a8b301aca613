"""Workers that die, are slow, or ask again: nobody's push is lost for it, and the books are right."""

from __future__ import annotations

import gevent
import pytest

from gateway.mailbox import keys
from gateway.mailbox.push_life import PushLife
from gateway.mailbox.push_model import Told, push_id
from gateway.mailbox.pushes import Cancelled, Event, Send
from tests.mailbox.sleepers import send, sleeper
from tests.mailbox.test_push_again import begin, fail, life
from tests.mailbox.test_push_when import archived, fall_due, propose
from tests.mailbox.world import JULIET, ROMEO, World


def end(world: World, event: Event, answer: Send, outcome: str = "delivered") -> None:
    for registration in answer.registrations:
        world.pushes.outcome(event, registration, outcome)
    world.pushes.done(event, final=True)


def books(world: World) -> tuple[int, int]:
    """Events and pushes without an end."""
    counted = PushLife.of(world.pushes.counters())
    return counted.events_waiting, counted.pushes_under_way


# a worker that died


def test_what_came_after_a_push_whose_worker_died_is_pushed_for(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = begin(world)
    world.pushes.outcome(event, answer.registrations[0], "delivered")
    send(world, "2")
    taken_over = world.pushes.claim(event, floor_ms=0)

    assert Cancelled("done") == taken_over
    assert 1 == world.push_all()
    assert (0, 0) == books(world)


def test_a_call_rings_though_a_message_before_it_is_claimed_first(world: World) -> None:
    sleeper(world)
    send(world, "1")
    world.deliver(propose("c1"), flags="swub")
    first = world.claim()
    _, answer = begin(world)

    assert (Cancelled("pushed-meanwhile"), "call", 2) == (first, answer.kind, answer.count)


def test_a_call_rings_on_a_device_without_a_session_as_well(world: World) -> None:
    sleeper(world).expire()
    send(world, "1")
    world.deliver(propose("c1"), flags="swub")
    world.claim()

    assert "call" == begin(world)[1].kind


def test_a_push_that_was_begun_is_made_when_the_session_has_ended_since(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    event, _ = begin(world)
    phone.expire()
    answer = world.pushes.claim(event, floor_ms=0)

    assert isinstance(answer, Send)
    end(world, event, answer)
    assert (0, 0, 1) == (*books(world), world.pushes.counters()["repeated"])


@pytest.mark.parametrize("how", ["acknowledged a part", "bound anew"])
def test_what_a_device_was_not_told_of_after_all_is_told_when_it_sleeps_again(world: World, how: str) -> None:
    phone = world.client()
    phone.register()
    send(world, "1", "2")
    phone.overdue()
    fail(world, *begin(world))
    if how == "bound anew":
        phone = world.bind()
        phone.enable()
        phone.presence()
    else:
        phone.ack(1)
    fall_due(world)
    withdrawn = world.claim()
    phone.hibernate()

    assert isinstance(withdrawn, Cancelled)
    assert 1 == world.push_all()
    assert (0, 0) == books(world)


def test_a_device_that_registers_again_is_told_of_what_nobody_was_there_to_be_told(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "1")
    phone.overdue()
    event = world.events()[0]
    world.call("unregister", JULIET, "push.localhost", "")
    cancelled = world.pushes.claim(event, floor_ms=0)
    phone.register(token="t1")

    assert Cancelled("no-registration") == cancelled
    assert 1 == world.push_all()


def test_a_device_that_unregistered_ends_its_part_of_a_push_that_is_taken_over(world: World) -> None:
    phone = world.client()
    phone.register(node="one")
    phone.register(node="two")
    phone.hibernate()
    send(world, "1")
    event, _ = begin(world)
    world.call("unregister", JULIET, "push.localhost", "two")
    answer = world.pushes.claim(event, floor_ms=0)

    assert isinstance(answer, Send)
    end(world, event, answer)
    assert (0, 0) == books(world)
    assert {"no-registration": 1} == life(world).withdrawn


@pytest.mark.parametrize("is_before", [True, False], ids=["waited already", "comes now"])
def test_a_phone_that_slept_before_it_said_that_it_is_there_is_woken_for_what_waits_offline(
    world: World, is_before: bool
) -> None:
    sleeper(world).expire()
    phone = world.bind()
    phone.enable()
    if is_before:
        send(world, "1")
        early = world.push_all()
    phone.hibernate()
    if not is_before:
        early = world.push_all()
        send(world, "1")

    assert (0, 1, (0, 0)) == (early, world.push_all(), books(world))


# a worker that was slow


def test_an_outcome_that_comes_when_another_has_brought_all_to_its_end_counts_no_more(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = begin(world)
    end(world, event, answer)
    world.pushes.outcome(event, answer.registrations[0], "delivered")
    world.pushes.retry(event, answer.registrations[0], wait_ms=0)

    assert ({"delivered": 1}, (0, 0)) == (world.pushes.outcomes(), books(world))
    assert 0 == world.redis.zcard(keys.key(world.at, "retries"))
    assert [] == list(world.redis.scan_iter("*job:*"))


def test_a_claim_that_comes_when_another_has_brought_all_to_its_end_is_none(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = begin(world)
    end(world, event, answer)

    assert Cancelled("done") == world.pushes.claim(event, floor_ms=0)
    assert (0, 0) == books(world)


def test_a_retry_is_not_made_after_another_worker_has_delivered_the_push(world: World) -> None:
    sleeper(world)
    send(world, "1")
    event, answer = begin(world)
    world.pushes.claim(event, floor_ms=0)
    world.pushes.retry(event, answer.registrations[0], wait_ms=0)
    end(world, event, answer)
    fall_due(world)

    assert 0 == world.push_all()
    assert (0, 0) == books(world)


def test_a_retry_whose_worker_died_after_it_had_planned_the_next_is_not_made_again(world: World) -> None:
    sleeper(world)
    send(world, "1")
    fail(world, *begin(world))
    fall_due(world)
    retry, answer = begin(world)
    world.pushes.retry(retry, answer.registrations[0], wait_ms=60_000)

    assert Cancelled("done") == world.pushes.claim(retry, floor_ms=0)
    fall_due(world)
    assert 1 == world.push_all()
    assert (0, 0, 0) == (*books(world), world.pushes.counters().get("repeated", 0))


def test_a_device_that_lost_its_session_since_is_told_by_who_took_the_event_over(world: World) -> None:
    sleeper(world).expire()
    tablet = world.bind("tablet")
    tablet.register()
    send(world, "1")
    first = begin(world)
    tablet.close()
    second = begin(world)
    end(world, *first)
    still_there = len(world.events())
    end(world, *second)

    assert (1, 2, 1) == (len(first[1].registrations), len(second[1].registrations), still_there)
    assert ([], (0, 0)) == (world.events(), books(world))


# dead letters, accounts that are removed


def test_a_dead_letter_that_is_not_true_any_more_is_a_push_that_was_withdrawn(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    event, answer = begin(world)
    world.pushes.bury(event, answer.registrations[0], "BadTopic")
    end(world, event, answer, "refused")
    phone.resume(0)
    ((letter, fields),) = world.pushes.dead_letters()
    world.pushes.replay(letter, fields)
    world.push_all()

    assert ((0, 0), {"back": 1}) == (books(world), life(world).withdrawn)


@pytest.mark.parametrize("after", ["raised", "begun", "failed"])
def test_what_workers_have_in_hand_leaves_nothing_of_a_removed_account(world: World, after: str) -> None:
    phone = sleeper(world)
    world.deliver(propose("c1"), flags="swub")
    send(world, "1")
    begun = [(event, world.pushes.claim(event, floor_ms=0)) for event in world.events()] if after == "begun" else []
    if after == "failed":
        while world.events():
            fail(world, *begin(world))
    world.accounts.remove(JULIET)
    world.sweep.finish(world.bucket, phone.sid)
    for event, answer in begun:
        assert isinstance(answer, Send)
        for registration in answer.registrations:
            told = Told(call="c1", push_id=push_id(world.bucket, event.id, "phone"))
            world.pushes.outcome(event, registration, "delivered", told=told)
        world.pushes.done(event, final=True)
    world.push_all()
    values = [value for name in world.redis.scan_iter("*again:*") if (value := world.redis.get(name))]

    assert [] == [name for name in world.redis.scan_iter("*") if b"juliet" in name]
    assert ([], []) == (values, world.pushes.trace(JULIET))
    assert (0, 0) == books(world)


# what only the archive keeps


@pytest.fixture
def keeps_an_archive(world: World) -> None:
    world.redis.set(keys.key(world.at, "archive_default"), "always")


@pytest.mark.usefixtures("keeps_an_archive")
def test_what_is_only_archived_is_shown_to_who_decides_whether_it_wakes(world: World) -> None:
    sleeper(world).expire()
    world.client("desktop")
    for number in range(25):
        archived(world, str(number))
    _, answer = begin(world)

    assert (25, 25, 20) == (answer.count, answer.fresh, len(answer.waiting))
    assert answer.newest is not None
    assert b"<body>24</body>" in answer.newest.stanza


@pytest.mark.usefixtures("keeps_an_archive")
def test_what_is_only_archived_is_told_though_another_device_took_what_was_stored_offline(world: World) -> None:
    sleeper(world).expire()
    desktop = world.client("desktop")
    archived(world, "1")
    desktop.ack_all()
    desktop.close()
    send(world, "2")
    world.client("desktop")

    assert [] == world.offline()
    assert 1 == world.push_all()


@pytest.mark.usefixtures("keeps_an_archive")
def test_what_is_only_archived_and_was_read_at_another_device_is_not_pushed(world: World) -> None:
    sleeper(world).expire()
    world.client("desktop")
    world.deliver(f"<message from='{ROMEO}'><body>1</body></message>".encode(), flags="swba")
    gevent.sleep(0.002)
    world.call("displayed", JULIET, ROMEO.partition("/")[0], "", "r1")

    assert Cancelled("read-elsewhere") == world.claim()
