"""RFC 6120 §8: answers, and stanzas that are there as bytes."""

from __future__ import annotations

import pytest

from gateway.xmpp.errors import LocalProtocolError, StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.stanza import NotAnElement, add_child, error_for, error_reply, iq_result, is_answerable, peek
from tests.unit.xmpp.builders import a_message, an_iq, element

GONE = StanzaError(StanzaCondition.GONE)


def test_a_result_goes_back_where_the_request_came_from() -> None:
    assert b"<iq type='result' id='i1' to='romeo@localhost/a' from='localhost'/>" == iq_result(element(an_iq()))


def test_a_result_carries_a_payload_and_other_addresses() -> None:
    result = iq_result(element(an_iq()), b"<x/>", to="a", from_="b")

    assert b"<iq type='result' id='i1' to='a' from='b'><x/></iq>" == result


def test_a_result_names_no_address_the_request_did_not_name() -> None:
    assert b"<iq type='result' id='1&apos;'/>" == iq_result(element(b"<iq type='set' id=\"1'\"><x xmlns='y'/></iq>"))


@pytest.mark.parametrize("stanza", [a_message(), an_iq(), b"<presence from='a' to='b' id='p'/>"])
def test_an_error_swaps_the_addresses_and_keeps_the_id(stanza: bytes) -> None:
    request, reply = element(stanza), element(error_reply(element(stanza), GONE))

    assert request.name == reply.name
    assert (request.attrs["id"], "error") == (reply.attrs["id"], reply.attrs["type"])
    assert (request.attrs.get("from"), request.attrs.get("to")) == (reply.attrs.get("to"), reply.attrs.get("from"))
    assert (("jabber:client", "error"),) == reply.children


@pytest.mark.parametrize(
    "stanza", [a_message(), an_iq(), b"<presence  from = \"a&apos;&#xfc;&#252;\n'\" to='b>' id='&lt;&amp;'/>"]
)
def test_an_error_from_bytes_is_the_same(stanza: bytes) -> None:
    assert error_reply(element(stanza), GONE) == error_for(stanza, GONE)
    assert error_reply(element(stanza), GONE, to="x", from_="y") == error_for(stanza, GONE, to="x", from_="y")


@pytest.mark.parametrize(
    "stanza",
    [
        b"<message type='error' from='a'/>",
        b"<presence type='error' from='a'/>",
        b"<iq type='error' id='a'/>",
        b"<iq type='result' id='a'/>",
        b"<r xmlns='urn:xmpp:sm:3'/>",
    ],
)
def test_an_error_and_a_result_are_never_answered(stanza: bytes) -> None:
    asked = element(stanza)

    assert not is_answerable(asked.name, asked.attrs.get("type"))
    with pytest.raises(LocalProtocolError):
        error_reply(asked, GONE)
    with pytest.raises(LocalProtocolError):
        error_for(stanza, GONE)


@pytest.mark.parametrize(
    ("stanza", "with_child"),
    [
        (b"<message/>", b"<message><c/></message>"),
        (b"<message a='/>'/>", b"<message a='/>'><c/></message>"),
        (b"<message></message>", b"<message><c/></message>"),
        (b"<message><body>a</body></message>", b"<message><body>a</body><c/></message>"),
        (b"<message>/></message >", b"<message>/><c/></message >"),
    ],
)
def test_a_child_is_added_behind_the_others(stanza: bytes, with_child: bytes) -> None:
    assert with_child == add_child(stanza, b"<c/>")


@pytest.mark.parametrize("stanza", [b"", b"text", b"<message", b"<message>", b"<message><a"])
def test_a_child_is_added_to_an_element_only(stanza: bytes) -> None:
    with pytest.raises(NotAnElement):
        add_child(stanza, b"<c/>")


@pytest.mark.parametrize(
    "stanza", [b"", b"text", b"<a>", b"<a", b"<a/><b/>", b"<a/>x", b"</stream>", b"<p:a/>", b"<!---->"]
)
def test_one_element_is_peeked_at_and_nothing_else(stanza: bytes) -> None:
    with pytest.raises(NotAnElement):
        peek(stanza)


def test_a_peek_reads_the_envelope() -> None:
    found = peek(b"<message to='a'><body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>")

    assert found.is_stanza
    assert {"to": "a"} == found.attrs
    assert (("jabber:client", "body"), ("http://jabber.org/protocol/chatstates", "active")) == found.children


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain ü", "plain ü"),
        ("a<b>&\"'", "a&lt;b&gt;&amp;&quot;&apos;"),
        ("a\tb\nc\rd", "a&#9;b&#10;c&#13;d"),
        ("\x00\x1f\ud800\uffff", "\ufffd\ufffd\ufffd\ufffd"),
    ],
)
def test_text_is_escaped_for_elements_and_attributes(text: str, escaped: str) -> None:
    assert escaped == escape(text)
