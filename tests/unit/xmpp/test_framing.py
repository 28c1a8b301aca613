"""RFC 7395."""

from __future__ import annotations

import pytest

from gateway.xmpp.element import Element
from gateway.xmpp.errors import StreamCondition, StreamError
from gateway.xmpp.event import StreamClosed, StreamOpened
from gateway.xmpp.framing import FramedParser
from gateway.xmpp.limits import ParserLimits


def test_open_and_close_are_the_stream() -> None:
    parser = FramedParser()

    opened = parser.read(
        b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0' xml:lang='de'/>"
    )
    closed = parser.read(b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")

    attrs = {"to": "localhost", "version": "1.0", "xml:lang": "de"}
    assert StreamOpened(attrs, "jabber:client", "de") == opened
    assert StreamClosed() == closed


def test_a_stanza_declares_its_namespace() -> None:
    found = FramedParser().read(b"<message xmlns='jabber:client' to='a'><body>x</body></message>\n")

    assert isinstance(found, Element)
    assert found.is_stanza
    assert b"<message to='a'><body>x</body></message>" == found.retagged({})


def test_a_stanza_that_declares_none_is_none() -> None:
    found = FramedParser().read(b"<message/>")

    assert isinstance(found, Element)
    assert not found.is_stanza


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        (b"", StreamCondition.BAD_FORMAT),
        (b" ", StreamCondition.BAD_FORMAT),
        (b" <a xmlns='b'/>", StreamCondition.BAD_FORMAT),
        (b"<a xmlns='b'>", StreamCondition.BAD_FORMAT),
        (b"<a xmlns='b'/><a xmlns='b'/>", StreamCondition.BAD_FORMAT),
        (b"<a xmlns='b'/>x", StreamCondition.BAD_FORMAT),
        (b"</stream>", StreamCondition.BAD_FORMAT),
        (b"<flow xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", StreamCondition.BAD_FORMAT),
        (b"<stream:features/>", StreamCondition.BAD_NAMESPACE_PREFIX),
        (b"<a xmlns='b'></c>", StreamCondition.NOT_WELL_FORMED),
        (b"<!-- a -->", StreamCondition.RESTRICTED_XML),
    ],
)
def test_a_message_that_is_not_one_element_ends_the_stream(message: bytes, condition: StreamCondition) -> None:
    with pytest.raises(StreamError) as caught:
        FramedParser().read(message)

    assert condition == caught.value.condition


def test_limits_may_change() -> None:
    parser = FramedParser(ParserLimits(stanza_bytes=20))
    message = b"<message xmlns='jabber:client'/>"

    with pytest.raises(StreamError):
        parser.read(message)
    parser.set_limits(ParserLimits())
    assert isinstance(parser.read(message), Element)
