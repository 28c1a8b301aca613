"""A look at what decides about the pushes of an account: it says what is so, and nothing that is secret."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.push_state import Device, PushState, Session, device_of, look
from tests.mailbox.sleepers import send, sleeper
from tests.mailbox.test_push_when import fall_due
from tests.mailbox.world import JULIET, Client, World


def state(world: World, user: str = JULIET) -> PushState:
    return look(world.journal, user)


def the_device(world: World) -> Device:
    (device,) = state(world).devices
    return device


def session_of(world: World) -> Session:
    session = the_device(world).session
    assert session is not None
    return session


def connected(world: World) -> Client:
    phone = world.client()
    phone.register()
    return phone


def test_an_account_that_does_not_exist_is_said_not_to(world: World) -> None:
    found = state(world, "nobody@localhost")

    assert ("none", (), ()) == (found.place, found.devices, found.others)


def test_a_device_that_reads_needs_no_push(world: World) -> None:
    connected(world)
    session = session_of(world)

    assert ("live", True, 0) == (session.state, session.is_consuming, session.waiting)


def test_a_session_without_a_registration_is_there_but_no_device(world: World) -> None:
    world.client()
    found = state(world)

    assert () == found.devices
    assert ["phone"] == [session.resource for session in found.others]


def test_a_link_that_does_not_answer_is_told_from_one_that_does(world: World) -> None:
    phone = connected(world)
    phone.overdue()

    assert ("live", False) == (session_of(world).state, session_of(world).is_consuming)


def test_a_sleeper_for_which_a_message_waits_has_an_event(world: World) -> None:
    sleeper(world)
    send(world, "1")
    found, session = state(world), session_of(world)

    assert ("asleep", 1, False, "message") == (session.state, session.waiting, session.covered, session.pending)
    assert [("message", "phone", 0)] == [(event.kind, event.resource, event.due_ms) for event in found.planned]
    assert found.at_ms - 60_000 < session.asleep_since_ms <= found.at_ms < session.ends_at_ms


def test_what_was_pushed_for_is_covered_until_more_comes(world: World) -> None:
    sleeper(world)
    send(world, "1")
    world.push_all()
    pushed = session_of(world)
    send(world, "2")

    assert (True, "", 1) == (pushed.covered, pushed.pending, pushed.waiting)
    assert 0 < pushed.pushed_at_ms <= state(world).at_ms
    assert (False, "message", 2) == (session_of(world).covered, session_of(world).pending, session_of(world).waiting)


def test_the_trailing_push_is_planned_for_when_the_floor_has_passed(world: World) -> None:
    sleeper(world)
    send(world, "1")
    world.push_all()
    send(world, "2")
    world.claim(20_000)
    found = state(world)
    (planned,) = found.planned

    assert 0 < planned.due_ms - found.at_ms <= 20_000
    fall_due(world)
    assert [0] == [event.due_ms for event in state(world).planned]


def test_a_retry_is_planned_for_its_device(world: World) -> None:
    sleeper(world)
    send(world, "1")
    (event,) = world.events()
    claim: Any = world.claim()
    world.pushes.retry(event, claim.registrations[0], wait_ms=5000)
    world.pushes.done(event, final=False)
    (planned,) = state(world).planned

    assert (the_device(world).device, 1) == (planned.device, planned.attempt)


def test_what_waits_offline_is_counted_for_devices_without_a_session(world: World) -> None:
    phone = connected(world)
    phone.close()
    send(world, "1")
    found = state(world)

    assert None is the_device(world).session
    assert (1, False, "message") == (found.offline_waiting, found.offline_covered, found.offline_pending)
    world.push_all()
    assert state(world).offline_covered


def test_a_device_is_called_as_traces_call_it(world: World) -> None:
    sleeper(world)
    send(world, "1")
    world.push_all()

    assert the_device(world).device in {decision.device for decision in world.pushes.trace(JULIET)}
    assert the_device(world).device == device_of(JULIET, next(iter(world.hash("registrations", JULIET))))


def test_filters_are_counted_and_name_nobody(world: World) -> None:
    phone = world.client()
    phone.register()
    key = keys.key(world.at, "registrations", JULIET)
    ((field, value),) = world.hash("registrations", JULIET).items()
    filters = {"muted": ["romeo@localhost"], "rooms": {"balcony@rooms.localhost": "never"}, "ignore_unknown": True}
    world.redis.hset(key, field, msgspec.json.encode({**msgspec.json.decode(value), "filters": filters}))
    device = the_device(world)

    assert (1, 1, True) == (device.muted, device.rooms, device.unknown_muted)
    assert "romeo" not in repr(state(world))
    assert "balcony" not in repr(state(world))


def test_nothing_secret_is_in_it(world: World) -> None:
    phone = world.client()
    phone.register(token="secret-token", node="secret-node")
    phone.hibernate()
    send(world, "secret body")
    shown = repr(state(world))

    assert "secret" not in shown
    assert phone.sid not in shown


def test_a_disabled_account_is_told_from_one_that_never_was(world: World) -> None:
    connected(world)
    world.call("disable", JULIET, "", "if_offline", 5000, 1000, 10)

    assert "disabled" == state(world).place
