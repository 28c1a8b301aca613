"""Streams and stanzas for tests."""

from __future__ import annotations

from gateway.xmpp.element import Element
from gateway.xmpp.errors import StreamCondition, StreamError
from gateway.xmpp.event import Event
from gateway.xmpp.parser import ParserLimits, StreamParser
from gateway.xmpp.stanza import peek

HEADER = (
    b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xml:lang='en' xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)


def a_message(body: str = "hello", *, to: str = "juliet@localhost", type_: str = "chat", id_: str = "m1") -> bytes:
    return f"<message to='{to}' type='{type_}' id='{id_}'><body>{body}</body></message>".encode()


def an_iq(inner: bytes = b"<ping xmlns='urn:xmpp:ping'/>", *, type_: str = "get") -> bytes:
    return b"<iq type='%b' id='i1' from='romeo@localhost/a' to='localhost'>%b</iq>" % (type_.encode(), inner)


def element(stanza: bytes) -> Element:
    return peek(stanza)


def opened(limits: ParserLimits | None = None, header: bytes = HEADER) -> StreamParser:
    """A parser that has read a stream header."""
    parser = StreamParser(limits)
    list(parser.feed(header))
    return parser


def all_of(parser: StreamParser, *pieces: bytes) -> tuple[list[Event], StreamError | None]:
    """The events of all pieces, and the error that ended them."""
    events = []
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                events.append(event)  # noqa: PERF402 - those before an error count too
    except StreamError as error:
        return events, error
    return events, None


def condition_of(parser: StreamParser, *pieces: bytes) -> StreamCondition | None:
    _, error = all_of(parser, *pieces)
    return error.condition if error is not None else None
