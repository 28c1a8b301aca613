"""RFC 6120, sections 4, 5 and 11: what somebody unknown sends instead of logging in."""

import pytest

from gateway.xmpp import ns
from tests.hostile.raw import HEADER, Stranger, conditions
from tests.support.pieces import Pieces

BOMB = (
    "<?xml version='1.0'?><!DOCTYPE bomb [<!ENTITY a 'aaaaaaaaaa'>"
    + "".join(f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>" for i in range(10))
    + "]>"
    + HEADER[21:]
)
NO_HEADER = {
    "an XML bomb": (BOMB, "restricted-xml"),
    "a document type": ("<!DOCTYPE x SYSTEM 'file:///etc/passwd'>" + HEADER[21:], "restricted-xml"),
    "a comment": ("<?xml version='1.0'?><!-- hello -->" + HEADER[21:], "restricted-xml"),
    "a processing instruction": ("<?php evil()?>" + HEADER[21:], "restricted-xml"),
    "an endless processing instruction": ("<?php " + "x" * 20_000, "policy-violation|restricted-xml"),
    "another encoding": ("<?xml version='1.0' encoding='ISO-8859-1'?>" + HEADER[21:], "unsupported-encoding"),
    "UTF-16": (HEADER.encode("utf-16"), "unsupported-encoding"),
    "bytes that are no UTF-8": (b"<stream:stream \xff\xfe\xfd", "not-well-formed|unsupported-encoding"),
    "a NUL": (b"<a\x00>", "not-well-formed"),
    "an HTTP request": ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "not-well-formed|bad-format"),
    "a TLS record": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), "not-well-formed|bad-format"),
    "text": ("hello <", "not-well-formed|bad-format"),
    "no namespaces": ("<stream>", "invalid-namespace"),
    "another namespace": ("<stream:stream xmlns:stream='urn:example'>", "invalid-namespace"),
    "an undeclared prefix": ("<stream:stream>", "not-well-formed|bad-namespace-prefix|invalid-namespace"),
    "another element": (f"<stream:flow xmlns:stream='{ns.STREAM}'>", "invalid-xml|bad-format"),
    "a server's stream": (HEADER.replace("jabber:client", "jabber:server"), "invalid-namespace"),
    "a stanza": ("<message to='a@localhost'><body>x</body></message>", "invalid-namespace"),
    "10,000 attributes": (HEADER[:-1] + "".join(f" a{i}='1'" for i in range(10_000)) + ">", "policy-violation"),
    "an endless attribute": (HEADER[:-2] + "x" * 100_000, "policy-violation"),
    "10,000 namespaces": (HEADER[:-1] + "".join(f" xmlns:a{i}='u'" for i in range(10_000)) + ">", "policy-violation"),
    "an entity in an attribute": (HEADER.replace("localhost", "&bomb;"), "not-well-formed|restricted-xml"),
    "an unknown host": (HEADER.replace("localhost", "elsewhere.example"), "host-unknown"),
    "a malformed host": (HEADER.replace("localhost", "a@b@c/&lt;"), "host-unknown"),
    "no version": (HEADER[21:].replace(" version='1.0'", ""), "unsupported-version"),
    "an old version": (HEADER.replace("' version='1.0'", "' version='0.9'"), "unsupported-version"),
    "a word for a version": (HEADER.replace("' version='1.0'", "' version='new'"), "unsupported-version"),
}


@pytest.mark.parametrize("what", NO_HEADER)
def test_a_stream_that_begins_wrong_is_told_why_and_closed(house: Pieces, what: str) -> None:
    sent, allowed = NO_HEADER[what]

    said = Stranger(house).send(sent).until_closed()
    told = conditions(said)

    assert 1 == len(told) and told[0] in allowed.split("|"), said
    assert (1, 1) == (said.count(b"<stream:stream "), said.count(b"</stream:stream>"))


GOOD_HEADERS = {
    "as it should be": HEADER,
    "without the XML declaration": HEADER[21:],
    "without `to`": HEADER.replace(" to='localhost'", ""),
    "with a `from` of special characters": HEADER.replace(" to=", " from='&lt;x y=&quot;&amp;&#39;&gt;' to="),
    "of a later version": HEADER.replace("' version='1.0'", "' version='2.17'"),
    "with white space before it": "\r\n \t" + HEADER[21:],
    "with another prefix": HEADER.replace("stream:", "s:").replace(":stream=", ":s="),
    "with a `to` in upper case": HEADER.replace("localhost", "LOCALHOST"),
}


@pytest.mark.parametrize("what", GOOD_HEADERS)
def test_a_header_that_is_merely_odd_is_answered(house: Pieces, what: str) -> None:
    stranger = Stranger(house).send(GOOD_HEADERS[what])

    said = stranger.until(b"</stream:features>")
    stranger.close()

    assert b"<starttls" in said and b" from='localhost'" in said
    assert [] == conditions(said)


AFTER_HEADER = {
    "a stanza": ("<message to='a@localhost'><body>x</body></message>", "not-authorized"),
    "an iq": ("<iq type='get' id='1'><query xmlns='jabber:iq:auth'/></iq>", "not-authorized"),
    "a resumption": (f"<resume xmlns='{ns.SM}' previd='x' h='0'/>", "not-authorized"),
    "an acknowledgement": (f"<a xmlns='{ns.SM}' h='0'/>", "not-authorized"),
    "something unknown": ("<x xmlns='urn:example'/>", "unsupported-stanza-type"),
    "a second header": (HEADER[21:] + "</stream:stream>", "unsupported-stanza-type"),
    "text": ("hello", "bad-format|not-well-formed"),
    "a comment": ("<!-- -->", "restricted-xml"),
    "an instruction": ("<?x?>", "restricted-xml"),
    "character data": ("<![CDATA[x]]><x/>", "bad-format|not-well-formed|restricted-xml"),
    "an undeclared prefix": ("<x:y/>", "not-well-formed|bad-namespace-prefix"),
    "an end tag of something else": ("</x>", "not-well-formed"),
    "bad bytes": (b"<x>\xc3\x28</x>", "not-well-formed|unsupported-encoding"),
    "100,000 bytes": ("<auth xmlns='urn:x'>" + "x" * 100_000, "policy-violation"),
    "10,000 levels": ("<x>" * 10_000, "policy-violation"),
    "10,000 attributes": (
        "<x" + "".join(f" a{i}='1'" for i in range(10_000)) + "/>",
        "policy-violation|not-well-formed",
    ),
    "an endless name": ("<" + "x" * 100_000, "policy-violation"),
}


@pytest.mark.parametrize("what", AFTER_HEADER)
def test_an_element_out_of_turn_ends_the_stream(house: Pieces, what: str) -> None:
    sent, allowed = AFTER_HEADER[what]

    said = Stranger(house).send(HEADER).send(sent).until_closed()
    told = conditions(said)

    assert 1 == len(told) and told[0] in allowed.split("|"), said


def test_a_password_in_the_clear_is_refused_and_the_stream_goes_on(house: Pieces) -> None:
    stranger = Stranger(house).send(HEADER)

    stranger.send(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGEAYg==</auth>")
    stranger.until(b"encryption-required")
    stranger.send(f"<starttls xmlns='{ns.STARTTLS}'/>")

    assert b"<proceed" in stranger.until(b"<proceed")
    stranger.close()


def test_a_stream_that_ends_at_once_is_ended_back(house: Pieces) -> None:
    said = Stranger(house).send(HEADER + "</stream:stream>").until_closed()

    assert said.endswith(b"</stream:stream>")
    assert [] == conditions(said)


def test_trickled_bytes_are_read_like_others(house: Pieces) -> None:
    stranger = Stranger(house)

    for byte in HEADER.encode():
        stranger.send(bytes([byte]))

    assert b"<starttls" in stranger.until(b"</stream:features>")
    stranger.close()
