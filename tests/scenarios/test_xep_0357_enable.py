"""XEP-0357 sections 5 and 6 on the wire: registrations come, stay with their device, change and go."""

from collections.abc import Iterator

import pytest

from gateway.demo.stream import condition_of
from gateway.mailbox.pushes import Pushes, Send
from gateway.xmpp import ns
from tests.scenarios.sleepers import (
    GOOD,
    IQ,
    PRESENCE,
    SERVICE,
    a_house,
    ask,
    asleep,
    enable,
    form,
    friend_of,
    registered,
    tell,
    the_event,
    the_pushes,
)
from tests.support.phone import a_message, online, stanza
from tests.support.pieces import Pieces, eventually


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    yield from a_house(tmp_path_factory)


@pytest.fixture
def pushes(house: Pieces) -> Iterator[Pushes]:
    yield from the_pushes(house)


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
