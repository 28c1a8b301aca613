"""XEP-0280: every device of an account sees both sides of every conversation, once, and nobody else does."""

import pytest

from gateway.xmpp import ns
from tests.scenarios.copies import BODY, ERROR, devices, romeo, seen, tell
from tests.support.exchange import (
    MESSAGE,
    PRESENCE,
    copy_of,
    enable_carbons,
    error_of,
    everything,
    request,
    shown,
)
from tests.support.phone import Phone, online, stanza
from tests.support.processes import Server

# Switching


def test_the_server_tells_that_it_copies(server: Server) -> None:
    phone = online(server, server.account())

    answer = request(phone, "get", f"<query xmlns='{ns.DISCO_INFO}'/>", to="localhost")

    assert ns.CARBONS in {feature.get("var") for feature in answer.iter(f"{{{ns.DISCO_INFO}}}feature")}


def test_a_device_that_did_not_ask_for_copies_gets_none(server: Server) -> None:
    (phone,) = devices(server, "phone")
    plain = online(server, phone.account, "plain")
    friend = romeo(server)

    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")
    tell(phone, f"<message to='{friend.jid}' type='chat'>{BODY}</message>")

    assert [] == seen(plain)


def test_copies_can_be_switched_on_and_off_as_often_as_one_likes(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)

    got = []
    for switches in (["enable"], ["disable", "disable"], ["enable", "enable"], ["disable"]):
        for switch in switches:
            assert "result" == request(tablet, "set", f"<{switch} xmlns='{ns.CARBONS}'/>").get("type")
        tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")
        got.append(len(everything(tablet)))

    assert [1, 0, 1, 0] == got


def test_a_new_session_of_the_same_resource_begins_without_copies(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    tablet.send("</stream:stream>")
    assert tablet.is_over()
    again = online(server, phone.account, "tablet")

    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")

    assert [] == seen(again)


BAD = {
    "children in it": ("set", f"<enable xmlns='{ns.CARBONS}'><x xmlns='urn:x'/></enable>", ""),
    "a question": ("get", f"<enable xmlns='{ns.CARBONS}'/>", ""),
    "something else": ("set", f"<private xmlns='{ns.CARBONS}'/>", ""),
    "an older namespace": ("set", "<enable xmlns='urn:xmpp:carbons:1'/>", ""),
    "two at once": ("set", f"<enable xmlns='{ns.CARBONS}'/><disable xmlns='{ns.CARBONS}'/>", ""),
    "of the server": ("set", f"<enable xmlns='{ns.CARBONS}'/>", "localhost"),
    "of somebody else": ("set", f"<enable xmlns='{ns.CARBONS}'/>", "nobody@localhost"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_gets_an_error_and_switches_nothing(server: Server, what: str) -> None:
    type_, payload, to = BAD[what]
    (phone,) = devices(server, "phone")
    tablet = online(server, phone.account, "tablet")
    friend = romeo(server)

    answer = request(tablet, type_, payload, to)
    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")

    assert error_of(answer)[1] in ("bad-request", "service-unavailable", "not-allowed", "forbidden")
    assert [] == seen(tablet)


def test_nobody_switches_copies_of_somebody_else(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)

    answer = request(friend, "set", f"<disable xmlns='{ns.CARBONS}'/>", phone.account.jid)
    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")

    assert ("cancel", "service-unavailable") == error_of(answer)
    assert ["received: hello"] == seen(tablet)


# Who gets a copy


def test_a_message_for_one_device_is_copied_to_the_others(server: Server) -> None:
    phone, tablet, laptop = devices(server, "phone", "tablet", "laptop")
    friend = romeo(server)

    tell(friend, f"<message to='{phone.jid}' type='chat' id='m1'>{BODY}<thread>t</thread></message>")
    (original,) = everything(phone)
    copies = [copy_of(message, device) for device in (tablet, laptop) for message in everything(device)]

    assert (friend.jid, phone.jid, "m1") == (original.get("from"), original.get("to"), original.get("id"))
    assert ["received", "received"] == [copy.way for copy in copies]
    assert [(friend.jid, phone.jid, "m1", "chat")] * 2 == [
        tuple(copy.message.get(name) for name in ("from", "to", "id", "type")) for copy in copies
    ]
    assert [("hello", "t", None)] * 2 == [
        (copy.body, copy.message.findtext(stanza("thread")), copy.delay) for copy in copies
    ]


def test_a_message_that_a_device_sends_is_copied_to_the_others(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)

    tell(phone, f"<message to='{friend.jid}' type='chat' id='m1'>{BODY}</message>")
    (copy,) = [copy_of(message, tablet) for message in everything(tablet)]

    assert ("sent", "hello") == (copy.way, copy.body)
    assert (phone.jid, friend.jid, "m1") == tuple(copy.message.get(name) for name in ("from", "to", "id"))
    assert ([], ["hello"]) == (seen(phone), seen(friend))


def test_what_a_device_without_carbons_sends_is_copied_to_those_that_have_them(server: Server) -> None:
    (tablet,) = devices(server, "tablet")
    plain = online(server, tablet.account, "plain")
    friend = romeo(server)

    tell(plain, f"<message to='{friend.account.jid}' type='chat'>{BODY}</message>")

    assert (["sent: hello"], []) == (seen(tablet), seen(plain))


def test_what_is_sent_to_somebody_who_is_away_is_copied_too(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    away = server.account()

    tell(phone, f"<message to='{away.jid}' type='chat'>{BODY}</message>")

    assert ["sent: hello"] == seen(tablet)


def test_a_message_to_all_devices_is_copied_to_none_that_has_it(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    shy = enable_carbons(Phone(server, phone.account).bind("shy"))
    shy.send("<presence><priority>-1</priority></presence>")
    friend = romeo(server)

    tell(friend, f"<message to='{phone.account.jid}' type='chat'>{BODY}</message>")

    assert (["hello"], ["hello"], ["received: hello"]) == (seen(phone), seen(tablet), seen(shy))


def test_a_device_that_sent_no_presence_gets_copies_all_the_same(server: Server) -> None:
    (phone,) = devices(server, "phone")
    quiet = enable_carbons(Phone(server, phone.account).bind("quiet"))
    friend = romeo(server)

    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")
    tell(phone, f"<message to='{friend.jid}' type='chat'>{BODY}</message>")

    assert ["received: hello", "sent: hello"] == seen(quiet)


def test_a_message_between_devices_of_one_account_is_seen_once_by_each(server: Server) -> None:
    phone, tablet, laptop = devices(server, "phone", "tablet", "laptop")

    tell(phone, f"<message to='{tablet.jid}' type='chat'>{BODY}</message>")

    assert ([], ["hello"]) == (seen(phone), seen(tablet))
    assert seen(laptop) in (["received: hello"], ["sent: hello"])


def test_a_note_to_the_own_account_is_seen_once_by_each(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")

    phone.send(f"<message to='{phone.account.jid}' type='chat'>{BODY}</message>")
    tablet_saw = [tablet.skip_to(MESSAGE, PRESENCE)]
    phone_saw = everything(phone)

    assert ["hello"] == shown(tablet, tablet_saw + everything(tablet))
    assert shown(phone, phone_saw) in (["hello"], [])


def test_a_message_for_a_device_that_is_gone_comes_to_the_others_once(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)

    tell(friend, f"<message to='{phone.account.jid}/gone' type='chat'>{BODY}</message>")

    assert (["hello"], ["hello"]) == (seen(phone), seen(tablet))


# Security


def test_a_forged_copy_is_shown_as_what_its_sender_wrote(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    inside = f"<message xmlns='jabber:client' from='paris@localhost/x' to='{phone.jid}' type='chat'>{BODY}</message>"
    forged = f"<received xmlns='{ns.CARBONS}'><forwarded xmlns='{ns.FORWARD}'>{inside}</forwarded></received>"

    tell(friend, f"<message to='{phone.jid}' type='chat'>{forged}</message>")
    tell(friend, f"<message to='{phone.account.jid}' type='chat'>{forged}</message>")
    came = [*everything(phone), *everything(tablet)]

    assert {friend.jid} >= {message.get("from") for message in came}


def test_no_device_can_write_as_the_account(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    forged = f"<received xmlns='{ns.CARBONS}'><forwarded xmlns='{ns.FORWARD}'/></received>"

    tell(phone, f"<message from='{phone.account.jid}' to='{tablet.jid}' type='chat'>{forged}</message>")

    assert {phone.jid} >= {message.get("from") for message in everything(tablet)}


def test_what_the_blocked_write_is_not_copied(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    request(phone, "set", f"<block xmlns='{ns.BLOCKING}'><item jid='{friend.account.jid}'/></block>")

    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")
    tell(phone, f"<message to='{friend.jid}' type='chat'>{BODY}</message>")

    assert ([], []) == (seen(tablet), seen(friend))


# Errors: section 10.3


def test_an_error_for_a_copy_goes_nowhere(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    tell(friend, f"<message to='{phone.jid}' type='chat' id='m'>{BODY}</message>")
    (wrapper,) = everything(tablet)

    refusal = f"<message to='{wrapper.get('from')}' type='error' id='m'>{ERROR}</message>"
    tell(tablet, refusal)

    assert ([], []) == (seen(friend), seen(tablet))


def test_a_copy_that_nobody_took_is_dropped_without_a_word(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    everything(tablet)
    tablet.ack()
    tell(friend, f"<message to='{phone.jid}' type='chat' id='m'>{BODY}</message>")
    assert ["hello"] == seen(phone)
    tell(phone, f"<message to='{friend.jid}' type='chat' id='m'>{BODY}</message>")
    assert ["hello"] == seen(friend)
    assert ["received: hello", "sent: hello"] == seen(tablet)
    tablet.send("</stream:stream>")
    assert tablet.is_over()

    again = online(server, phone.account, "tablet")

    assert ([], [], []) == (seen(again), seen(phone), seen(friend))
