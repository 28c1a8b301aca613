"""XEP-0280 section 6.1 on the wire: which messages are copied, and what their copies look like."""

import pytest

from gateway.xmpp import ns
from tests.scenarios.copies import BODY, CHATSTATE, ERROR, devices, romeo, seen, tell
from tests.support.exchange import (
    copy_of,
    enable_carbons,
    everything,
)
from tests.support.phone import Phone, stanza
from tests.support.processes import Server

RECEIPT = f"<received xmlns='{ns.RECEIPTS}' id='m0'/>"


MARKER = f"<displayed xmlns='{ns.MARKERS}' id='m0'/>"


PRIVATE = f"<private xmlns='{ns.CARBONS}'/>"


NO_COPY = f"<no-copy xmlns='{ns.HINTS}'/>"


OTHER = "<x xmlns='urn:example:payload'/>"


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
