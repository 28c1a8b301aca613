"""RFC 7395 §3: XMPP over WebSocket, where each message is one whole element that declares its own namespaces."""

from __future__ import annotations

from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.errors import StreamCondition, StreamError
from gateway.xmpp.event import Event, StreamClosed, StreamOpened
from gateway.xmpp.limits import ParserLimits
from gateway.xmpp.parser import StreamParser


class FramedParser:
    """Reads the messages of one connection; a restart of the stream is just another `<open/>`."""

    __slots__ = ("_limits",)

    def __init__(self, limits: ParserLimits | None = None) -> None:
        self._limits = limits or ParserLimits()

    def set_limits(self, limits: ParserLimits) -> None:
        """Other limits from now on, e.g. after authentication."""
        self._limits = limits

    def read(self, message: bytes) -> Event:
        """What one text message says. Raises StreamError; bad-format if it is not one whole element."""
        parser = StreamParser.inside(self._limits, default="")
        events = list(parser.feed(message))
        if len(events) != 1 or not isinstance(events[0], Element) or parser.take_unparsed() or message[:1] != b"<":
            raise StreamError(StreamCondition.BAD_FORMAT, "a message holds one whole element (RFC 7395 §3.3.3)")
        element = events[0]
        if element.ns != ns.FRAMING:
            return element
        if element.name == "open":
            return StreamOpened(element.attrs, ns.CLIENT, element.attrs.get("xml:lang", ""))
        if element.name == "close":
            return StreamClosed()
        raise StreamError(StreamCondition.BAD_FORMAT, f"no such framing element: {element.name[:32]}")
