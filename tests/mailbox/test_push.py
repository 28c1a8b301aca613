"""The push rule, and the worker's side of it: register, claim, outcome, retry, done, dead letters."""

from __future__ import annotations

import gevent

from gateway.mailbox.pushes import Send
from tests.mailbox.sleepers import send, sleeper
from tests.mailbox.world import JULIET, World, a_message, waited

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
