"""XEP-0280: every device of an account sees both sides of every conversation, once, and nobody else does."""

from collections.abc import Iterator

import pytest

from gateway.xmpp import ns
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
from tests.support.phone import Phone, online, sm, stanza
from tests.support.pieces import Pieces, pieces
from tests.support.processes import Server

BODY = "<body>hello</body>"


def devices(server: Server, *names: str) -> list[Phone]:
    """Devices of one account, all available and with carbons."""
    account = server.account()
    return [enable_carbons(online(server, account, name)) for name in names]


def romeo(server: Server) -> Phone:
    return online(server, server.account(), "orchard")


def tell(sender: Phone, *stanzas: str) -> None:
    """Sends; returns when all of it is where it belongs. Errors that came back are skipped."""
    for each in stanzas:
        sender.send(each)
    everything(sender)


def seen(phone: Phone) -> list[str]:
    return shown(phone, everything(phone))


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


# What is copied: section 6.1

CHATSTATE = f"<composing xmlns='{ns.CHATSTATES}'/>"
RECEIPT = f"<received xmlns='{ns.RECEIPTS}' id='m0'/>"
MARKER = f"<displayed xmlns='{ns.MARKERS}' id='m0'/>"
PRIVATE = f"<private xmlns='{ns.CARBONS}'/>"
NO_COPY = f"<no-copy xmlns='{ns.HINTS}'/>"
OTHER = "<x xmlns='urn:example:payload'/>"
ERROR = f"<error type='cancel'><service-unavailable xmlns='{ns.STANZAS}'/></error>"

ELIGIBLE = {
    "chat with a body": ("chat", BODY, True),
    "chat with a chat state alone": ("chat", CHATSTATE, True),
    "chat with something unknown": ("chat", OTHER, True),
    "normal with a body": ("normal", BODY, True),
    "no type, with a body": ("", BODY, True),
    "an unknown type, with a body": ("madeup", BODY, True),
    "normal without a body": ("normal", OTHER, False),
    "no type, a receipt": ("", RECEIPT, True),
    "no type, a request for a receipt": ("", f"<request xmlns='{ns.RECEIPTS}'/>", True),
    "no type, a marker": ("", MARKER, True),
    "no type, a chat state": ("", CHATSTATE, True),
    "a direct invitation": ("normal", f"<x xmlns='{ns.CONFERENCE}' jid='r@rooms.example'/>", True),
    "a mediated invitation": ("normal", f"<x xmlns='{ns.MUC_USER}'><invite to='a@b.example'/></x>", True),
    "groupchat": ("groupchat", BODY, False),
    "headline": ("headline", BODY, False),
    "an error": ("error", BODY + ERROR, True),
    "private": ("chat", BODY + PRIVATE + NO_COPY, False),
    "private without a hint": ("chat", BODY + PRIVATE, False),
    "a hint alone": ("chat", BODY + NO_COPY, False),
    "private in another namespace": ("chat", f"{BODY}<private xmlns='urn:x'/>", True),
    "private deeper inside": ("chat", f"{BODY}<x xmlns='urn:x'>{PRIVATE}</x>", True),
    "a copy": ("chat", f"<sent xmlns='{ns.CARBONS}'><forwarded xmlns='{ns.FORWARD}'/></sent>", False),
    "a body in another namespace": ("normal", "<body xmlns='urn:x'>hello</body>", False),
}


@pytest.mark.parametrize("what", ELIGIBLE)
def test_what_is_copied(server: Server, what: str) -> None:
    type_, inner, is_eligible = ELIGIBLE[what]
    phone, tablet = devices(server, "phone", "tablet")
    friend_phone, friend_tablet = devices(server, "phone", "tablet")
    attribute = f" type='{type_}'" if type_ else ""

    tell(friend_phone, f"<message to='{phone.jid}'{attribute} id='m'>{inner}</message>")
    original = [message.get("id") for message in everything(phone)]
    received = [copy_of(message, tablet) for message in everything(tablet)]
    sent = [copy_of(message, friend_tablet) for message in everything(friend_tablet)]

    assert ["m"] == original
    assert (["received"] if is_eligible else []) == [copy.way for copy in received]
    assert (["sent"] if is_eligible else []) == [copy.way for copy in sent]
    assert all("m" == copy.message.get("id") for copy in (*received, *sent))


def test_what_is_copied_is_the_message_as_it_came(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    inner = "<c:body xmlns:c='jabber:client'>&lt;é&amp; ]]&gt;</c:body><x xmlns='urn:x' a='&quot;1&quot;'><y/></x>"

    tell(friend, f"<message to='{phone.jid}' type='chat' id='&lt;m&gt;' xml:lang='fr'>{inner}</message>")
    (original,), (copy,) = everything(phone), [copy_of(message, tablet) for message in everything(tablet)]

    assert "<é& ]]>" == copy.body == original.findtext(stanza("body"))
    assert original.attrib == copy.message.attrib
    assert [child.tag for child in original] == [child.tag for child in copy.message]


TO = "to='{to}' type='chat' id='m'"

ODD = {
    "a prefix inside": f"<message {TO}><c:body xmlns:c='jabber:client'>hello</c:body></message>",
    "its own namespace": f"<message xmlns='jabber:client' {TO}>{BODY}</message>",
    "percent signs": f"<message {TO}>{BODY}<x xmlns='urn:x'>%1 %s %%0 \\1</x></message>",
    "unparsed text": f"<message {TO}>{BODY}<x xmlns='urn:x'><![CDATA[</message>]]></x></message>",
    "brackets in attributes": f"<message {TO} x='/>'>{BODY}<x xmlns='urn:x' y='>&lt;/message>'/></message>",
    "white space": f"<message\n {TO}\t>{BODY}\n</message\n>",
}


@pytest.mark.parametrize("what", ODD)
def test_copies_of_oddly_written_messages_are_copies(server: Server, what: str) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend, friend_tablet = devices(server, "phone", "tablet")

    tell(friend, ODD[what].replace("{to}", phone.jid))
    (original,), (received,), (sent,) = everything(phone), everything(tablet), everything(friend_tablet)
    copies = [copy_of(received, tablet), copy_of(sent, friend_tablet)]

    assert ("m", "hello") == (original.get("id"), original.findtext(stanza("body")))
    assert [("m", "hello")] * 2 == [(copy.message.get("id"), copy.body) for copy in copies]
    assert [[child.tag for child in original]] * 2 == [[child.tag for child in copy.message] for copy in copies]


def test_copies_reach_a_device_with_an_odd_name(server: Server) -> None:
    (phone,) = devices(server, "phone")
    odd = Phone(server, phone.account).bind('&lt;it&apos;s&gt; %s "100%" é')
    enable_carbons(odd)
    friend = romeo(server)

    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")

    assert odd.jid.endswith('/<it\'s> %s "100%" é')
    assert ["received: hello"] == seen(odd)


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


# Sleep and resumption


def asleep(server: Server, phone: Phone) -> None:
    """The link breaks when everything was acknowledged; the server notices."""
    everything(phone)
    phone.ack()
    phone.handled()
    phone.cut()


def back(server: Server, phone: Phone) -> Phone:
    """Resumes with what the phone has."""
    again = Phone(server, phone.account)
    assert sm("resumed") == again.resume(phone.session_id, phone.inbound).tag
    again.jid = phone.jid
    return again


def test_a_device_asleep_gets_its_copies_in_order_with_their_time_and_goes_on(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    asleep(server, tablet)

    for number, to in enumerate((phone.jid, tablet.jid, phone.jid)):
        tell(friend, f"<message to='{to}' type='chat'><body>m{number}</body></message>")
    tell(phone, f"<message to='{friend.jid}' type='chat'><body>m3</body></message>")
    again = back(server, tablet)
    messages = everything(again)
    tell(friend, f"<message to='{phone.jid}' type='chat'><body>live</body></message>")
    (live,) = everything(again)

    assert ["received: m0", "m1", "received: m2", "sent: m3"] == shown(again, messages)
    late = [copy_of(messages[index], again).delay for index in (0, 2, 3)]
    assert ["localhost"] * 3 == [delay.get("from") for delay in late if delay is not None]
    assert ("received", "live", None) == (lambda copy: (copy.way, copy.body, copy.delay))(copy_of(live, again))


def test_a_copy_that_was_not_acknowledged_comes_again_as_it_was(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    everything(tablet)
    tablet.ack()
    had = tablet.inbound
    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")
    (first,) = everything(tablet)
    tablet.cut()

    again = Phone(server, tablet.account)
    again.resume(tablet.session_id, had)
    again.jid = tablet.jid
    (second,) = everything(again)

    assert copy_of(first, tablet).body == copy_of(second, again).body == "hello"


def test_a_message_sent_again_after_a_resumption_is_copied_once(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    friend = romeo(server)
    message = f"<message to='{friend.jid}' type='chat' id='m'>{BODY}</message>"
    had = phone.handled()
    phone.send(message)
    assert ["sent: hello"] == shown(tablet, [tablet.skip_to(MESSAGE, PRESENCE)])
    phone.cut()

    again = Phone(server, phone.account)
    resumed = again.resume(phone.session_id, phone.inbound)
    for _ in range(had + 1 - int(resumed.get("h", ""))):
        again.send(message)
    everything(again)

    assert ([], ["hello"]) == (seen(tablet), seen(friend))


def test_copies_go_on_when_the_gateway_was_killed(server: Server) -> None:
    phone, tablet = devices(server, "phone", "tablet")
    everything(tablet)
    server.kill("gateway")
    server.wait_accepting()
    friend = romeo(server)

    tell(friend, f"<message to='{phone.jid}' type='chat'><body>while away</body></message>")
    again = back(server, tablet)
    before = shown(again, everything(again))
    tell(friend, f"<message to='{phone.jid}' type='chat'><body>afterwards</body></message>")

    assert ["received: while away", "received: afterwards"] == [*before, *seen(again)]


# Pushes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    """A server whose push events nobody takes."""
    directory = tmp_path_factory.mktemp("carbons")
    service_account = directory / "service-account.json"
    service_account.write_text("{}")
    settings = {
        "smacks": {"smacks_max_hibernation_time": 600},
        "push.apps.chat": {"provider": "fcm", "service_account_file": str(service_account)},
    }
    with pieces(directory, settings=settings) as server:
        server.add_accounts(10)
        yield server


def register(phone: Phone) -> None:
    fields = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": "chat", "token": "t"}
    form = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
    answer = request(
        phone,
        "set",
        f"<enable xmlns='{ns.PUSH}' jid='push.localhost' node='n'>"
        f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{form}</x></enable>",
    )
    assert "result" == answer.get("type")


def test_a_received_copy_wakes_a_device_asleep_and_a_sent_one_does_not(house: Pieces) -> None:
    account = house.account()
    phone, tablet = (enable_carbons(online(house, account, name)) for name in ("phone", "tablet"))
    register(tablet)
    friend = romeo(house)
    asleep(house, tablet)
    house.wait(lambda: "asleep" == house.session(account.jid, tablet.session_id).get("state"), "the tablet to sleep")

    tell(phone, f"<message to='{friend.jid}' type='chat'>{BODY}</message>")
    after_sent = house.events(account.jid)
    tell(friend, f"<message to='{phone.jid}' type='chat'>{CHATSTATE}</message>")
    after_chatstate = house.events(account.jid)
    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")

    assert [] == after_sent == after_chatstate
    assert [("queued", "message")] == house.events(account.jid)
