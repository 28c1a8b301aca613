"""The push rule and XEP-0357, up to the event that a worker would take: something important lies beyond the cursor of a
device that is not consuming.
"""

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import gevent
import pytest

from gateway.demo.stream import condition_of
from gateway.mailbox import keys
from gateway.mailbox.embedded import socket_path
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import Cancelled, Event, Pushes, Send
from gateway.xmpp import ns
from tests.support.phone import Phone, a_message, online, stanza
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import Account

MESSAGE, IQ, PRESENCE = stanza("message"), stanza("iq"), stanza("presence")
SERVICE = "push.localhost"
ACK_DELAY_S = 0.5
INACTIVE_ACK_DELAY_S = 0.3


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    directory = tmp_path_factory.mktemp("push")
    service_account = directory / "service-account.json"
    service_account.write_text("{}")
    settings = {
        "smacks": {"smacks_max_ack_delay": ACK_DELAY_S, "smacks_max_hibernation_time": 600},
        "push": {"offered_grace": 0, "inactive_ack_delay": INACTIVE_ACK_DELAY_S},
        "push.apps.chat": {"provider": "fcm", "service_account_file": str(service_account)},
        "push.apps.chat-ios": {
            "provider": "apns",
            "topic": "org.example.chat",
            "certificate_file": str(service_account),
        },
    }
    with pieces(directory, commands=("sweeper",), settings=settings) as server:
        server.add_accounts(80)
        yield server


def form(fields: dict[str, str], *, type_: str = "submit") -> str:
    """A publish-options form."""
    inner = "".join(f"<field var={quoteattr(var)}><value>{value}</value></field>" for var, value in fields.items())
    return f"<x xmlns='{ns.DATA_FORMS}' type='{type_}'>{inner}</x>"


GOOD = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": "chat", "token": "token-1"}


def ask(phone: Phone, payload: str) -> str:
    """Sends an iq of type set to the own account; answers "" for a result, or the error's condition."""
    phone.send(f"<iq type='set' id='push'>{payload}</iq>")
    answer = phone.skip_to(IQ, PRESENCE, MESSAGE)
    phone.ack()
    error = answer.find(stanza("error"))
    return "" if error is None else condition_of(error)


def enable(phone: Phone, node: str = "n1", **fields: str) -> str:
    return ask(phone, f"<enable xmlns='{ns.PUSH}' jid='{SERVICE}' node='{node}'>{form({**GOOD, **fields})}</enable>")


def registered(house: Pieces, *, max_s: str = "60") -> Phone:
    """An available phone that is to be woken."""
    phone = online(house, house.account(), enable=f"resume='true' max='{max_s}'")
    assert "" == enable(phone)
    return phone


def friend_of(house: Pieces) -> Phone:
    return Phone(house, house.account()).bind("friend").available()


def tell(friend: Phone, to: Account | Phone, *bodies: str) -> None:
    """Sends messages; returns when they are in their mailbox."""
    jid = to.jid if isinstance(to, Account) else to.account.jid
    friend.send("".join(a_message(jid, body) for body in bodies))
    friend.round_trip()


def asleep(house: Pieces, phone: Phone) -> None:
    """The link is lost, and the server knows."""
    phone.cut()
    eventually(lambda: house.session(phone.account.jid, phone.session_id).get("state") == "asleep", "hibernation")


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


# Whether it is still true


@pytest.fixture
def pushes(house: Pieces) -> Iterator[Pushes]:
    journal = Journal(f"unix://{socket_path(house.directory / 'data')}")
    journal.start()
    journal.wait_up(10)
    yield Pushes(journal)
    journal.stop()


def the_event(house: Pieces, account: Account, at: int = 0) -> Event:
    """The event as a worker would read it."""
    prefix = keys.prefix(account.jid)
    bucket = next(number for number in range(keys.BUCKETS) if keys.bucket_prefix(number) == prefix)
    found = house.store.xrange(keys.key(prefix, "events"))
    read = [
        Event.read(bucket, name.decode(), {key.decode(): value.decode() for key, value in fields.items()})
        for name, fields in found
    ]
    return [event for event in read if event.user == account.jid][at]


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


# XEP-0357: registrations


def test_a_registration_survives_a_new_login_with_the_same_resource(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    phone.send("</stream:stream>")
    eventually(lambda: not house.session(phone.account.jid, phone.session_id), "the session to end")

    again = online(house, phone.account)
    asleep(house, again)
    tell(friend, again, "hello")

    assert [("queued", "message")] == house.events(phone.account.jid)


def test_a_registration_belongs_to_its_device(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)
    tablet = online(house, phone.account, "tablet")
    phone.ack()
    asleep(house, tablet)

    friend.send(a_message(tablet.jid, "for the tablet"))
    friend.round_trip()

    assert [] == house.events(phone.account.jid)


@pytest.mark.parametrize("node", ["", " node='n1'"])
def test_a_device_that_disabled_pushes_is_not_woken(house: Pieces, node: str) -> None:
    phone, friend = registered(house), friend_of(house)

    refusal = ask(phone, f"<disable xmlns='{ns.PUSH}' jid='{SERVICE}'{node}/>")
    asleep(house, phone)
    tell(friend, phone, "hello")

    assert ("", []) == (refusal, house.events(phone.account.jid))


def test_disabling_another_node_changes_nothing(house: Pieces) -> None:
    phone, friend = registered(house), friend_of(house)

    refusal = ask(phone, f"<disable xmlns='{ns.PUSH}' jid='{SERVICE}' node='other'/>")
    asleep(house, phone)
    tell(friend, phone, "hello")

    assert ("", [("queued", "message")]) == (refusal, house.events(phone.account.jid))


def test_enabling_again_replaces_the_token(house: Pieces, pushes: Pushes) -> None:
    phone, friend = registered(house), friend_of(house)

    enable(phone, token="token-2")
    asleep(house, phone)
    tell(friend, phone, "hello")
    claimed = pushes.claim(the_event(house, phone.account), floor_ms=0)

    assert isinstance(claimed, Send)
    assert ["token-2"] == [one.token for one in claimed.registrations]


def an_enable(attributes: str, inner: str = "") -> str:
    return f"<enable xmlns='{ns.PUSH}' {attributes}>{inner or form(GOOD)}</enable>"


OURS = f"jid='{SERVICE}' node='n1'"
IPHONE = {**GOOD, "app": "chat-ios", "token": "A1b2" * 16}
TWICE = form(GOOD) + form(GOOD)
SAME_FIELD = form(GOOD).replace("</x>", "<field var='token'><value>x</value></field></x>")
BAD_ENABLE = {
    "no jid": (an_enable("node='n1'"), "bad-request"),
    "an empty jid": (an_enable("jid='' node='n1'"), "bad-request"),
    "a malformed jid": (an_enable("jid='@' node='n1'"), "jid-malformed"),
    "another service": (an_enable("jid='push.elsewhere.example' node='n1'"), "remote-server-not-found"),
    "somebody at the service": (an_enable("jid='x@push.localhost' node='n1'"), "item-not-found"),
    "no form": (f"<enable xmlns='{ns.PUSH}' {OURS}/>", "bad-request"),
    "text instead of a form": (an_enable(OURS, "form"), "bad-request"),
    "two forms": (an_enable(OURS, TWICE), "bad-request"),
    "a form without a type": (an_enable(OURS, form(GOOD).replace(" type='submit'", "")), "bad-request"),
    "a form of an unknown type": (an_enable(OURS, form(GOOD, type_="x")), "bad-request"),
    "an empty form": (an_enable(OURS, form({})), "bad-request"),
    "another FORM_TYPE": (an_enable(OURS, form({**GOOD, "FORM_TYPE": "x"})), "bad-request"),
    "one field twice": (an_enable(OURS, SAME_FIELD), "bad-request"),
    "fields without a name": (an_enable(OURS, form(GOOD).replace("var=", "id=")), "bad-request"),
    "fields without values": (an_enable(OURS, form(GOOD).replace("value", "worth")), "bad-request"),
    "an unknown app": (an_enable(OURS, form({**GOOD, "app": "games"})), "item-not-found"),
    "no app": (an_enable(OURS, form({k: v for k, v in GOOD.items() if k != "app"})), "item-not-found"),
    "an empty token": (an_enable(OURS, form({**GOOD, "token": ""})), "bad-request"),
    "a token of 5,000 characters": (an_enable(OURS, form({**GOOD, "token": "t" * 5000})), "not-acceptable"),
    "a node of 5,000 characters": (an_enable(f"jid='{SERVICE}' node='{'n' * 5000}'"), "not-acceptable"),
    "an unknown environment": (an_enable(OURS, form({**GOOD, "environment": "x" * 9000})), "bad-request"),
    "an unknown content": (an_enable(OURS, form({**GOOD, "content": "everything"})), "bad-request"),
    "encryption without a key": (an_enable(OURS, form({**GOOD, "content": "encrypted"})), "bad-request"),
    "a token of APNs that is no hex": (an_enable(OURS, form({**IPHONE, "token": "xy" * 32})), "not-acceptable"),
    "a token of APNs that lacks a digit": (an_enable(OURS, form({**IPHONE, "token": "a" * 63})), "not-acceptable"),
    "a token of APNs of 201 bytes": (an_enable(OURS, form({**IPHONE, "token": "ab" * 201})), "not-acceptable"),
    "a token of APNs in brackets": (an_enable(OURS, form({**IPHONE, "token": "&lt;a1b2&gt;"})), "not-acceptable"),
    "disable without a jid": (f"<disable xmlns='{ns.PUSH}'/>", "bad-request"),
    "disable with a malformed jid": (f"<disable xmlns='{ns.PUSH}' jid='a@b@c'/>", "jid-malformed"),
    "enable as a child of itself": (an_enable("", an_enable(OURS)), "bad-request"),
}


@pytest.mark.parametrize("what", BAD_ENABLE)
def test_bad_input_gets_a_clear_error_and_registers_nothing(house: Pieces, what: str) -> None:
    phone = online(house, house.account())
    payload, condition = BAD_ENABLE[what]

    refusal = ask(phone, payload)

    assert condition == refusal
    assert "0" == house.session(phone.account.jid, phone.session_id)["reg"]


@pytest.mark.parametrize("token", ["a1" * 32, "A1" * 200, "00" * 4])
def test_a_token_of_apns_is_4_to_200_bytes_in_hexadecimal_digits(house: Pieces, token: str) -> None:
    phone = online(house, house.account())

    assert "" == ask(phone, an_enable(OURS, form({**IPHONE, "token": token, "environment": "sandbox"})))


def test_disabling_what_was_never_enabled_is_no_error(house: Pieces) -> None:
    phone = online(house, house.account())

    assert "" == ask(phone, f"<disable xmlns='{ns.PUSH}' jid='push.elsewhere.example' node='n9'/>")


def test_nobody_registers_for_somebody_else(house: Pieces) -> None:
    phone, other = online(house, house.account()), house.account()

    phone.send(f"<iq type='set' id='push' to='{other.jid}'>{an_enable(OURS)}</iq>")
    error = phone.skip_to(IQ, PRESENCE).find(stanza("error"))

    assert error is not None and "service-unavailable" == condition_of(error)
