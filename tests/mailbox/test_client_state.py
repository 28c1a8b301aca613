"""An inactive client (XEP-0352) is shown its queue as far as something urgent reaches; nothing leaves its place."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox import entry
from tests.mailbox.world import CHAT, Client, World, a_message

WAITS = "h"


@pytest.fixture
def phone(world: World) -> Client:
    """An inactive one whose queue begins at 1."""
    client = world.client()
    assert 0 == client.rest()
    return client


def position(world: World, text: str, flags: str = CHAT, **options: Any) -> int:
    """Where a message for the phone is, as its owner is told: 0 for nowhere it need look."""
    return world.deliver(a_message(text), flags=flags, **options).placed[0].position


def test_what_may_wait_is_told_to_nobody_and_what_is_urgent_with_all_before_it(world: World, phone: Client) -> None:
    held = position(world, "typing", WAITS)
    before = phone.read()
    urgent = position(world, "hello")
    after = position(world, "paused", WAITS)

    assert (0, [], 2, 0) == (held, before, urgent, after)
    assert [a_message("typing"), a_message("hello")] == phone.stanzas()


def test_active_again_it_sees_everything_in_order_and_what_waited_says_so(world: World, phone: Client) -> None:
    for text, flags in (("1", WAITS), ("2", CHAT), ("3", WAITS)):
        world.deliver(a_message(text), flags=flags)

    assert 3 == phone.rest(False)
    assert [(a_message("1"), True), (a_message("2"), False), (a_message("3"), True)] == [
        (each.stanza, entry.DELAYED in each.flags) for each in phone.read()
    ]


def test_saying_it_twice_changes_nothing(world: World, phone: Client) -> None:
    world.deliver(a_message("1"), flags=WAITS)

    assert 0 == phone.rest()
    assert (1, 1) == (phone.rest(False), phone.rest(False))


def test_requests_and_answers_do_not_wait(world: World, phone: Client) -> None:
    world.deliver(a_message("1"), flags=WAITS)

    assert 2 == world.deliver(b"<iq/>", kind="q", type="get", to="phone", flags="b").placed[0].position
    assert ("ok", 3, 3) == phone.append(b"<iq type='result'/>", inbound=1)


def test_presence_waits_beside_the_queue_the_newest_of_each_sender(world: World, phone: Client) -> None:
    for n in range(3):
        world.deliver(b"<presence n='%d'/>" % n, kind="p", type="", to="phone", sender="a@b/c")
    world.deliver(a_message("hello"))
    resting = phone.stanzas()
    phone.rest(False)

    assert [a_message("hello")] == resting
    assert [a_message("hello"), b"<presence n='2'/>"] == phone.stanzas()


def test_an_ack_tells_no_more_than_the_client_may_see(world: World, phone: Client) -> None:
    world.deliver(a_message("1"))
    world.deliver(a_message("2"), flags=WAITS)

    assert ("ok", 1) == phone.ack(1)
    assert [] == phone.read()


def test_what_fills_the_queue_is_shown_so_that_the_client_can_make_room(small: World) -> None:
    phone = small.client()
    phone.rest()
    held = [position(small, str(n), WAITS) for n in range(3)]
    behind = position(small, "urgent")
    phone.ack(int(phone.marks()["acked"]) + 3)

    assert ([0, 0, 3], 0) == (held, behind)
    assert [a_message("urgent")] == phone.stanzas()


@pytest.mark.parametrize("is_dead", [False, True])
def test_a_resumed_session_is_active(world: World, phone: Client, is_dead: bool) -> None:
    world.deliver(a_message("1"), flags=WAITS)
    if not is_dead:
        phone.hibernate()
    awake = phone.taken_over(phone.resume(0))

    assert [a_message("1")] == awake.stanzas()
    assert 2 == position(world, "2", WAITS)


def test_what_waited_has_its_fate_like_the_rest(world: World, phone: Client) -> None:
    world.deliver(a_message("1"), flags=WAITS)
    world.deliver(a_message("2"), flags="sh")
    phone.close()

    assert [a_message("2")] == world.offline()
    assert {"accepted": 2, "dropped": 1} == world.fates()


def test_a_client_that_rests_is_awake_for_the_push_rule(world: World, phone: Client) -> None:
    phone.register()
    world.deliver(a_message("hello"))

    assert [] == world.reasons()
    phone.overdue()
    assert ["inactive"] == world.reasons()


def test_a_stale_owner_changes_nothing(world: World, phone: Client) -> None:
    awake = phone.taken_over(phone.resume(0))

    assert phone.rest() is None
    assert "0" == awake.marks()["inactive"]
