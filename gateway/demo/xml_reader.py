"""RFC 6120, section 4, seen from the client: the bytes of a stream in, its elements out.

It shares nothing with gateway.xmpp.parser, so that a fault in the one cannot hide behind the same fault in the other.
"""

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element
from xml.parsers import expat

from gateway.errors import WakegateError

STREAM_TAG = "{http://etherx.jabber.org/streams}stream"


class UnreadableStream(WakegateError):
    """The server sent what is no XML, or what is no stream."""

    metric = "client_unreadable_stream"


class StreamReader:
    """Reads one stream. A restart (after TLS, after SASL) takes a new reader.

    `header` holds the attributes of the stream's start tag as soon as it was read; `ended` tells that
    `</stream:stream>` came.
    """

    __slots__ = ("_open", "_parser", "_ready", "ended", "header")

    def __init__(self) -> None:
        self.header: dict[str, str] | None = None
        self.ended = False
        self._ready: list[Element] = []
        self._open: list[Element] = []
        self._parser: Any = expat.ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        # Since 2.6 expat may keep back a finished element until more bytes come, which on a live stream is too late.
        defer: Callable[[bool], None] | None = getattr(self._parser, "SetReparseDeferralEnabled", None)
        if defer is not None:
            defer(False)

    def feed(self, data: bytes) -> list[Element]:
        """Takes what the socket gave and answers the elements that are complete now, in order.

        Names are "{namespace}name", as ElementTree spells them. Raises UnreadableStream.
        """
        try:
            self._parser.Parse(data, False)
        except expat.ExpatError as error:
            raise UnreadableStream(f"the server's stream is not well-formed: {error}") from error
        ready, self._ready = self._ready, []
        return ready

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        tag = _clark(name)
        if self.header is None:
            if tag != STREAM_TAG:
                raise UnreadableStream(f"expected a stream, got <{tag}>")
            self.header = attrs
            return
        element = Element(tag, {_clark(key): value for key, value in attrs.items()})
        if self._open:
            self._open[-1].append(element)
        self._open.append(element)

    def _end(self, _name: str) -> None:
        if not self._open:
            self.ended = True
            return
        element = self._open.pop()
        if not self._open:
            self._ready.append(element)

    def _text(self, data: str) -> None:
        if not self._open:
            return  # white space between stanzas: a keep-alive
        element = self._open[-1]
        if len(element):
            element[-1].tail = (element[-1].tail or "") + data
        else:
            element.text = (element.text or "") + data


def _clark(name: str) -> str:
    return "{" + name if "}" in name else name
