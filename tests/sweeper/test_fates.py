"""What becomes of the queue of a session that ended, through whole rounds of the sweeper (architecture, section 5)."""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from gateway.mailbox.pushes import Send
from tests.mailbox.world import JULIET, ROMEO, World, a_message
from tests.sweeper.builders import (
    a_chat,
    a_request,
    a_sweeper,
    lapse,
    received,
    romeo,
    the_error,
)
from workers.sweeper.sweeper import Sweeper


def test_a_message_nobody_received_goes_back_to_its_sender_once(world: World, sweeper: Sweeper) -> None:
    sender = romeo(world)
    phone = world.client("phone")
    world.client("laptop", priority=None).presence(5)
    world.deliver(a_chat(to=JULIET + "/phone"), to="phone")
    lapse(phone)
    for _ in range(3):
        sweeper.round()

    assert [the_error(sender=JULIET + "/phone")] == received(sender)
    assert [] == world.outbox()
    assert 1 == world.fates()["bounced"]


def test_with_resend_on_timeout_false_it_goes_back_also_when_nobody_else_is_there(world: World, redis_url: str) -> None:
    sender = romeo(world)
    phone = world.client("phone")
    world.deliver(a_chat())
    lapse(phone)
    with a_sweeper(redis_url, resend_on_timeout=False) as sweeper:
        sweeper.round()

    assert [the_error()] == received(sender)
    assert [] == world.offline()


def test_with_resend_on_timeout_true_the_other_session_gets_it_and_its_node_is_told(
    world: World, redis_url: str
) -> None:
    sender = romeo(world)
    phone, laptop = world.client("phone"), world.client("laptop")
    world.deliver(a_chat(), to="phone")
    lapse(phone)
    with world.redis.pubsub(ignore_subscribe_messages=True) as notices:
        notices.subscribe(keys.NOTICES + world.node)
        notices.get_message(timeout=1)
        with a_sweeper(redis_url, resend_on_timeout=True) as sweeper:
            sweeper.round()
        notice = notices.get_message(timeout=5)

    assert a_chat() in laptop.stanzas()
    assert [] == received(sender)
    assert notice is not None
    assert notice["data"].startswith(f"q {laptop.sid} ".encode())


def test_without_another_session_it_waits_offline(world: World, sweeper: Sweeper) -> None:
    sender = romeo(world)
    phone = world.client("phone")
    world.deliver(a_chat())
    lapse(phone)
    sweeper.round()

    assert [a_chat()] == world.offline()
    assert [] == received(sender)


def test_a_request_nobody_answered_is_answered_with_an_error(world: World, sweeper: Sweeper) -> None:
    sender = romeo(world)
    phone = world.client("phone")
    world.deliver(a_request(), to="phone", kind="q", type="", flags="b")
    lapse(phone)
    sweeper.round()
    sweeper.round()

    assert [the_error(name="iq", id="q", sender=JULIET + "/phone")] == received(sender)


def test_a_presence_nobody_received_is_dropped(world: World, sweeper: Sweeper) -> None:
    sender = romeo(world)
    phone = world.client("phone")
    world.deliver(f"<presence from='{ROMEO}' to='{JULIET}'/>".encode(), kind="p", type="", flags="")
    lapse(phone)
    sweeper.round()

    assert ([], []) == (received(sender), world.offline())


def test_the_errors_keep_the_order_of_the_messages(world: World, sweeper: Sweeper) -> None:
    sender = romeo(world)
    phone = world.client("phone")
    world.client("laptop")
    for number in range(250):
        world.deliver(a_chat(number), to="phone")
    lapse(phone)
    while not sweeper_is_idle(world):
        sweeper.round()

    assert [the_error(number) for number in range(250)] == received(sender)


def sweeper_is_idle(world: World) -> bool:
    ended = not world.redis.exists(keys.key(world.at, "due"), keys.key(world.at, "endings"))
    return ended and not world.redis.xlen(keys.key(world.at, "outbox"))


def test_a_sleeping_sender_finds_the_error_when_he_is_back(world: World, sweeper: Sweeper) -> None:
    sender = romeo(world)
    phone = world.client("phone")
    world.client("laptop")
    world.deliver(a_chat(), to="phone")
    lapse(phone)
    sender.hibernate()
    sweeper.round()
    back = sender.taken_over(sender.resume(0))

    assert [the_error()] == received(back)


def test_an_error_for_a_sender_who_left_is_dropped_and_leaves_the_outbox(world: World, sweeper: Sweeper) -> None:
    sender = romeo(world)
    phone = world.client("phone")
    world.client("laptop")
    world.deliver(a_chat(), to="phone")
    sender.close()
    lapse(phone)
    sweeper.round()

    assert [] == world.outbox()


@pytest.mark.parametrize(
    "stanza",
    [
        f"<message from='{ROMEO}' to='{JULIET}' type='error'><body/></message>",
        f"<iq from='{ROMEO}' to='{JULIET}' type='result' id='1'/>",
        f"<presence from='{ROMEO}' to='{JULIET}'/>",
    ],
)
def test_what_must_not_be_answered_is_not(world: World, sweeper: Sweeper, stanza: str) -> None:
    sender = romeo(world)
    world.redis.xadd(keys.key(world.at, "outbox"), {"do": "bounce", "user": JULIET, "stanza": stanza})
    sweeper.round()

    assert [] == world.outbox()
    assert [] == received(sender)


@pytest.mark.parametrize(
    "stanza",
    [
        "<message from='a@elsewhere.example/x' to='juliet@localhost'><body/></message>",
        "<message from='localhost' to='juliet@localhost'><body/></message>",
        "<message to='juliet@localhost'><body/></message>",
        "<message from='@' to='juliet@localhost'><body/></message>",
        "<message from='romeo@localhost/orchard'><body>",
        "no stanza",
    ],
)
def test_what_cannot_be_returned_does_not_stay_in_the_way_of_what_can(
    world: World, sweeper: Sweeper, stanza: str
) -> None:
    sender = romeo(world)
    outbox = keys.key(world.at, "outbox")
    world.redis.xadd(outbox, {"do": "bounce", "user": JULIET, "stanza": stanza})
    world.redis.xadd(outbox, {"do": "bounce", "user": JULIET, "stanza": a_chat()})
    sweeper.round()

    assert [] == world.outbox()
    assert [the_error()] == received(sender)


def test_a_session_whose_time_is_not_over_is_left_alone(world: World, sweeper: Sweeper) -> None:
    phone = world.client("phone")
    world.deliver(a_chat())
    phone.hibernate()
    sweeper.round()

    assert "asleep" == phone.marks()["state"]


def test_a_session_that_was_resumed_in_time_does_not_expire(world: World, sweeper: Sweeper) -> None:
    phone = world.client("phone")
    world.deliver(a_chat())
    phone.hibernate()
    phone = phone.taken_over(phone.resume(int(phone.marks()["acked"]) - int(phone.marks()["base"])))
    world.redis.zadd(keys.key(world.at, "due"), {phone.sid: 1})
    sweeper.round()
    sweeper.round()

    assert "live" == phone.marks()["state"]
    assert [a_chat()] == phone.stanzas()


def test_an_end_that_its_process_did_not_finish_is_finished(world: World, sweeper: Sweeper) -> None:
    phone = world.client("phone")
    for number in range(1100):
        world.mailbox.deliver(
            user=JULIET, resource="phone", sender=ROMEO, origin=None, kind="m", type="chat", flags="swb",
            stanza=a_chat(number), done=lambda _: None,
        )  # fmt: skip
    first = world.call("close", phone.sid, phone.grip.epoch, "if_offline", 5000, 2000, 10)
    sweeper.round()

    assert b"more" == first[0]
    assert [a_chat(number) for number in range(1100)] == world.offline()


def test_a_phone_is_called_before_its_session_expires(world: World, sweeper: Sweeper) -> None:
    phone = world.client("phone")
    phone.register()
    world.deliver(a_chat())
    phone.hibernate()
    world.push_all()
    sweeper.round()
    early = world.reasons()
    world.redis.zadd(keys.key(world.at, "lastcalls"), {phone.sid: 1})
    sweeper.round()
    sweeper.round()

    assert [] == early
    assert ["last-call"] == world.reasons()


def test_a_push_that_is_due_again_returns_to_the_workers(world: World, sweeper: Sweeper) -> None:
    for resource, wait_ms in (("phone", 0), ("tablet", 60_000)):
        device = world.client(resource)
        device.register()
        device.hibernate()
        world.deliver(a_message("1"), to=resource)
        (event,) = world.events()
        answer = world.pushes.claim(event, floor_ms=0)
        assert isinstance(answer, Send)
        world.pushes.retry(event, answer.registrations[0], wait_ms=wait_ms)
        world.pushes.done(event, final=False)
    sweeper.round()

    assert [("push.localhost\nphone", 1)] == [(found.only, found.attempt) for found in world.events()]


def test_broken_data_of_one_session_does_not_keep_others_from_their_end(world: World, sweeper: Sweeper) -> None:
    phone, laptop = world.client("phone"), world.client("laptop")
    lapse(phone)
    lapse(laptop)
    world.redis.hset(keys.key(world.at, "session", phone.sid), "deadline", "nonsense")
    sweeper.round()

    assert {} == laptop.marks()
