"""The push rule, and the worker's side of it: register, claim, outcome, retry, done, dead letters."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from gateway.mailbox.pushes import Cancelled, Later, Registration, Send
from tests.mailbox.world import JULIET, Client, World, a_message, a_world, waited


def sleeper(world: World, resource: str = "phone") -> Client:
    """A phone with a registration, asleep."""
    client = world.client(resource)
    client.register()
    client.hibernate()
    return client


def send(world: World, *texts: str, flags: str = "swb", to: str = "") -> None:
    for text in texts:
        world.deliver(a_message(text), flags=flags, to=to)


# the rule


def test_a_message_for_a_sleeping_phone_wakes_it(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    (event,) = world.events()

    assert (JULIET, phone.sid, "queued", "message") == (event.user, event.sid, event.reason, event.kind)


def test_a_burst_for_a_sleeping_phone_is_one_event(world: World) -> None:
    sleeper(world)
    send(world, *"12345")

    assert 1 == len(world.events())


def test_a_call_is_not_held_up_by_a_message_that_waits_to_be_pushed(world: World) -> None:
    sleeper(world)
    send(world, "1")
    send(world, "ring", "ring again", flags="swub")

    assert ["message", "call"] == [event.kind for event in world.events()]


def test_what_does_not_matter_wakes_nobody(world: World) -> None:
    phone = sleeper(world)
    send(world, "1", flags="sb")
    world.deliver(b"<presence/>", kind="p", type="", to="phone")

    assert [] == world.events()
    assert "asleep" == phone.marks()["state"]


def test_a_phone_that_consumes_is_not_woken(world: World) -> None:
    world.client().register()
    send(world, "1")

    assert [] == world.events()


def test_a_device_without_registration_is_not_woken(world: World) -> None:
    world.client().hibernate()
    send(world, "1")

    assert [] == world.events()


def test_the_phone_is_woken_though_a_desktop_is_online(world: World) -> None:
    world.client("desktop")
    phone = sleeper(world)
    send(world, "1")

    assert [phone.sid] == [event.sid for event in world.events()]


def test_falling_asleep_over_something_important_wakes(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "1")
    phone.hibernate()

    assert ["hibernation"] == world.reasons()


def test_a_call_in_the_queue_of_a_link_that_breaks_is_a_call(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "ring", flags="swub")
    send(world, "1")
    phone.hibernate()

    assert ["call"] == [event.kind for event in world.events()]


def test_an_overdue_answer_wakes_while_the_socket_is_open(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "1")
    phone.overdue()
    phone.overdue()
    send(world, "2")

    assert ["ack-delayed"] == world.reasons()


def test_what_was_pushed_for_is_not_pushed_again_when_the_link_then_breaks_or_the_session_ends(world: World) -> None:
    phone = world.client()
    phone.register()
    send(world, "1")
    phone.overdue()
    pushed = world.push_all()
    phone.hibernate()
    after_break = world.reasons()
    phone.expire()

    assert (1, [], []) == (pushed, after_break, world.reasons())
    assert [a_message("1")] == world.offline()


def test_what_was_not_pushed_for_is_pushed_when_it_goes_offline(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    phone.expire()

    assert [("queued", phone.sid), ("offline", "")] == [(event.reason, event.sid) for event in world.events()]
    assert 1 == world.push_all()


def test_a_message_that_was_stored_offline_wakes_devices_without_a_session(world: World) -> None:
    phone = sleeper(world)
    phone.expire()
    send(world, "1", "2")

    assert [("offline", "")] == [(event.reason, event.sid) for event in world.events()]
    assert 1 == world.push_all()


def test_after_a_resume_and_another_break_the_phone_is_woken_again(world: World) -> None:
    phone = sleeper(world)
    send(world, "1")
    world.push_all()
    awake = phone.taken_over(phone.resume(0))
    awake.hibernate()

    assert ["hibernation"] == world.reasons()


def test_a_late_ack_for_a_part_leaves_the_phone_to_be_woken_for_the_rest(world: World) -> None:
    phone = sleeper(world)
    send(world, "1", "2")
    phone.ack(1)
    while world.events():
        answer = world.claim()
        if isinstance(answer, Send):
            break

    assert isinstance(answer, Send)
    assert 1 == answer.count


def test_registering_while_overdue_wakes(world: World) -> None:
    phone = world.client()
    send(world, "1")
    phone.overdue()
    phone.register()

    assert ["ack-delayed"] == world.reasons()


def test_offline_messages_that_flow_into_an_overdue_session_wake(world: World) -> None:
    send(world, "1")
    phone = world.bind()
    phone.enable()
    phone.register()
    phone.overdue()
    phone.presence()

    assert [("queued", phone.sid)] == [(event.reason, event.sid) for event in world.events()]


# the last call


def test_a_session_about_to_expire_calls_once_more_for_what_was_pushed(world: World) -> None:
    phone = world.client(max_ms=0)
    phone.register()
    phone.hibernate()
    send(world, "1")
    world.push_all()
    due = world.sweep.chores(world.bucket).last_calls

    assert (phone.sid,) == due
    assert world.sweep.last_call(world.bucket, phone.sid)
    assert not world.sweep.last_call(world.bucket, phone.sid)
    assert ["last-call"] == world.reasons()
    assert isinstance(world.claim(floor_ms=60_000), Send)


def test_nobody_is_called_when_nothing_waits(world: World) -> None:
    phone = sleeper(world)

    assert not world.sweep.last_call(world.bucket, phone.sid)


# registrations


def test_a_registration_of_the_same_service_and_node_replaces_the_former(world: World) -> None:
    phone = world.client()
    phone.register(token="old")
    phone.register(token="new")
    phone.hibernate()
    send(world, "1")
    answer = world.claim()
    assert isinstance(answer, Send)

    assert ["new"] == [registration.token for registration in answer.registrations]


def test_too_many_registrations_push_the_oldest_out(world: World) -> None:
    clients = [world.client(f"r{n}") for n in range(3)]
    for client in clients:
        client.register(most=2)
        gevent.sleep(0.002)  # registrations are ordered by the server's clock, to the millisecond

    assert ["0", "1", "1"] == [client.marks()["reg"] for client in clients]


def test_unregistering_one_node_leaves_the_others(world: World) -> None:
    phone = world.client()
    phone.register(node="a")
    phone.register(node="b")
    one = _unregister(world, "push.localhost", "a")
    linked = phone.marks()["reg"]
    rest = _unregister(world, "push.localhost", "")

    assert (1, "1", 1, "0") == (one, linked, rest, phone.marks()["reg"])
    assert 0 == _unregister(world, "push.localhost", "a")


def _unregister(world: World, service: str, node: str) -> int:
    return int(waited(lambda done: world.mailbox.unregister(user=JULIET, service=service, node=node, done=done)))


def test_a_device_that_binds_anew_keeps_its_registration(world: World) -> None:
    sleeper(world)
    again = world.client("phone")
    again.hibernate()
    send(world, "1")

    assert [again.sid] == [event.sid for event in world.events()]


def test_a_registration_that_moves_to_another_session_unlinks_the_former(world: World) -> None:
    phone, tablet = world.client("phone"), world.client("tablet")
    phone.register(node="n")
    tablet.register(node="n")

    assert ("0", "1") == (phone.marks()["reg"], tablet.marks()["reg"])


def test_whatever_a_client_calls_its_node_comes_back(world: World) -> None:
    odd = "a|b\n%d \"'\\ \u2603 / {}"
    phone = world.client()
    phone.register(node=odd)
    phone.hibernate()
    send(world, "1")
    answer = world.claim()
    assert isinstance(answer, Send)

    assert [odd] == [registration.node for registration in answer.registrations]


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
