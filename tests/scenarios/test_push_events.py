"""The push rule and XEP-0357, up to the event that a worker would take: something important lies beyond the cursor of a
device that is not consuming.
"""

from collections.abc import Iterator

import gevent
import pytest

from gateway.mailbox.pushes import Cancelled, Pushes, Send
from gateway.xmpp import ns
from tests.scenarios.sleepers import (
    ACK_DELAY_S,
    a_house,
    asleep,
    friend_of,
    registered,
    tell,
    the_event,
    the_pushes,
)
from tests.support.phone import Phone, online
from tests.support.pieces import Pieces, eventually


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    yield from a_house(tmp_path_factory)


# When a device is woken


def test_a_message_for_a_sleeping_phone_is_an_event(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    asleep(house, phone)

    before = house.events(phone.account.jid)
    tell(friend, phone, "hello")

    assert ([], [("queued", "message")]) == (before, house.events(phone.account.jid))


def test_a_burst_for_a_sleeping_phone_is_one_event(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    asleep(house, phone)

    tell(friend, phone, *(f"number {number}" for number in range(50)))

    assert [("queued", "message")] == house.events(phone.account.jid)


def test_a_phone_that_falls_asleep_over_an_unacknowledged_message_is_woken(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    tell(friend, phone, "hello")
    phone.bodies(1)

    asleep(house, phone)

    assert [("hibernation", "message")] == house.events(phone.account.jid)


def test_a_phone_that_acknowledged_everything_sleeps_undisturbed(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    tell(friend, phone, "hello")
    phone.bodies(1)
    phone.ack()
    phone.handled()

    asleep(house, phone)

    assert [] == house.events(phone.account.jid)


def test_a_phone_with_an_open_socket_that_does_not_acknowledge_is_woken(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)

    tell(friend, phone, "hello")
    eventually(lambda: house.events(phone.account.jid), "an event for a frozen phone")

    assert [("ack-delayed", "message")] == house.events(phone.account.jid)
    assert "live" == house.session(phone.account.jid, phone.session_id)["state"]


def test_an_inactive_client_that_does_not_acknowledge_is_woken(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    phone.send(f"<inactive xmlns='{ns.CSI}'/>")
    phone.round_trip()

    tell(friend, phone, "hello")
    eventually(lambda: house.events(phone.account.jid), "an event for an inactive phone")

    assert [("inactive", "message")] == house.events(phone.account.jid)


def test_a_phone_that_acknowledges_in_time_is_not_woken(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)

    tell(friend, phone, "hello")
    phone.bodies(1)
    phone.ack()
    phone.handled()
    gevent.sleep(2 * ACK_DELAY_S)

    assert [] == house.events(phone.account.jid)


def test_a_message_behind_an_overdue_acknowledgement_needs_no_second_event(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    tell(friend, phone, "one")
    eventually(lambda: house.events(phone.account.jid), "an event for a frozen phone")

    tell(friend, phone, "two", "three")

    assert [("ack-delayed", "message")] == house.events(phone.account.jid)


def test_a_message_stored_offline_is_an_event_for_a_device_without_a_session(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    phone.send("</stream:stream>")
    eventually(lambda: not house.session(phone.account.jid, phone.session_id), "the session to end")

    tell(friend, phone, "one", "two")

    assert [("offline", "message")] == house.events(phone.account.jid)


def test_a_call_is_urgent_though_a_message_waits_already(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    asleep(house, phone)
    tell(friend, phone, "one")

    friend.send(f"<message to='{phone.account.jid}' type='chat'><propose xmlns='{ns.CALLS}' id='c1'/></message>")
    friend.round_trip()

    assert [("queued", "message"), ("queued", "call")] == house.events(phone.account.jid)


NOT_WORTH_WAKING = {
    "a chat state": f"<message to='%s' type='chat'><composing xmlns='{ns.CHATSTATES}'/></message>",
    "a receipt": "<message to='%s'><received xmlns='urn:xmpp:receipts' id='r'/></message>",
    "a marker": "<message to='%s'><displayed xmlns='urn:xmpp:chat-markers:0' id='r'/></message>",
    "an error": f"<message to='%s' type='error'><error type='wait'><gone xmlns='{ns.STANZAS}'/></error></message>",
    "a headline": "<message to='%s' type='headline'><body>news</body></message>",
    "presence": "<presence to='%s'/>",
}


@pytest.mark.parametrize("what", NOT_WORTH_WAKING)
def test_nobody_is_woken_for_less_than_a_message(house: Pieces, what: str) -> None:
    phone, friend = registered(house), friend_of(house)
    asleep(house, phone)

    friend.send(NOT_WORTH_WAKING[what] % phone.jid)
    friend.round_trip()

    assert [] == house.events(phone.account.jid)


def test_a_phone_that_registered_nothing_is_not_woken(house: Pieces) -> None:
    phone, friend = online(house, house.account()), friend_of(house)
    asleep(house, phone)

    tell(friend, phone, "hello")

    assert [] == house.events(phone.account.jid)


@pytest.fixture
def pushes(house: Pieces) -> Iterator[Pushes]:
    yield from the_pushes(house)


def test_an_event_for_a_phone_that_still_sleeps_is_sent(house: Pieces, pushes: Pushes) -> None:
    phone, friend = registered(house), friend_of(house)
    asleep(house, phone)
    tell(friend, phone, "one", "two")

    claimed = pushes.claim(the_event(house, phone.account), floor_ms=0)

    assert isinstance(claimed, Send)
    assert (2, ["token-1"]) == (claimed.count, [one.token for one in claimed.registrations])


def test_an_event_is_cancelled_when_the_phone_is_back_first(house: Pieces, pushes: Pushes) -> None:
    phone, friend = registered(house), friend_of(house)
    asleep(house, phone)
    tell(friend, phone, "hello")
    event = the_event(house, phone.account)

    again = Phone(house, phone.account)
    again.resume(phone.session_id, phone.inbound)

    assert Cancelled("back") == pushes.claim(event, floor_ms=0)
    assert ["hello"] == again.bodies(1)


def test_an_event_is_cancelled_when_a_slow_acknowledgement_comes_first(house: Pieces, pushes: Pushes) -> None:
    phone, friend = registered(house), friend_of(house)
    tell(friend, phone, "hello")
    eventually(lambda: house.events(phone.account.jid), "an event for a frozen phone")
    event = the_event(house, phone.account)

    phone.bodies(1)
    phone.ack()
    phone.handled()

    assert Cancelled("back") == pushes.claim(event, floor_ms=0)


def test_an_offline_event_is_cancelled_when_the_messages_were_fetched(house: Pieces, pushes: Pushes) -> None:
    phone, friend = registered(house), friend_of(house)
    phone.send("</stream:stream>")
    eventually(lambda: not house.session(phone.account.jid, phone.session_id), "the session to end")
    tell(friend, phone, "hello")
    event = the_event(house, phone.account)

    again = Phone(house, phone.account).bind("phone")
    again.send("<presence/>")

    assert ["hello"] == again.bodies(1)
    assert Cancelled("back") == pushes.claim(event, floor_ms=0)


def test_the_last_call_comes_before_a_session_expires(house: Pieces, pushes: Pushes) -> None:
    phone, friend = registered(house, max_s="4"), friend_of(house)
    asleep(house, phone)
    tell(friend, phone, "hello")
    pushes.claim(the_event(house, phone.account), floor_ms=0)

    eventually(lambda: ("last-call", "message") in house.events(phone.account.jid), "the last call")

    assert "asleep" == house.session(phone.account.jid, phone.session_id)["state"]
