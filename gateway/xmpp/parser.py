"""RFC 6120 §4 and §11: bytes of a stream in; its header and first-level elements out, each as the bytes it came as.

    for event in parser.feed(data):
        ...

Events that were complete before a fault are delivered first; then the StreamError is raised, by every call from then
on. Bytes behind the element after which a stream begins anew (the last of SASL) belong to the new one: `restart` may be
called between two events, and what the parser has read ahead is read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NoReturn
from xml.parsers import expat

from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.errors import StreamCondition, StreamError
from gateway.xmpp.event import Event, StreamClosed, StreamOpened
from gateway.xmpp.expat_names import SEPARATOR, Declared, primer_of, split_name, without_prefixed
from gateway.xmpp.limits import ParserLimits
from gateway.xmpp.start_tag import end_of_tag, qualified_name, write_attributes
from gateway.xmpp.token import TagScanner
from gateway.xmpp.well_formedness import as_stream_error

__all__ = ["SPACE", "Event", "ParserLimits", "StreamClosed", "StreamOpened", "StreamParser"]

SPACE: Final = b" \t\r\n"

_PIECE: Final = 65536
"""bytes. A longer input is read in pieces, so that limits are looked at before all of it has become objects."""

_RENEW_AFTER: Final = 262144
"""bytes. An expat parser remembers every name it ever met; after so many bytes a new one takes over."""

_LONG_TAG: Final = 1024
"""bytes. An unfinished tag of this length is withheld from expat until its end is there."""

_LONG_REFERENCE: Final = 64
"""bytes. No reference that RFC 6120 §11.1 allows needs as many."""

_NOT_UTF8: Final = b"\x00\xef\xfe\xff"
"""First bytes of UTF-16, of UTF-32 and of byte order marks (RFC 6120 §11.6 has no use for those)."""

_CACHEABLE: Final = 8192
"""bytes"""

_AFTER_NAME: Final = b" \t\r\n/>"
_SLASH: Final = ord("/")


class StreamParser:
    """Reads one direction of one connection. `content` are the namespaces that may be the stream's default."""

    __slots__ = (
        "_attrs",
        "_base",
        "_boundary",
        "_children",
        "_closed",
        "_content",
        "_declared",
        "_delivered",
        "_depth",
        "_error",
        "_events",
        "_expat",
        "_fed",
        "_head",
        "_input",
        "_limits",
        "_name",
        "_primer",
        "_scanner",
        "_source",
        "_start",
    )

    def __init__(self, limits: ParserLimits | None = None, *, content: frozenset[str] = frozenset({ns.CLIENT})) -> None:
        self._limits = limits or ParserLimits()
        self._content = content
        self._input: list[bytes] = []
        self._events: deque[tuple[Event, int]] = deque()
        self._begin(b"")

    @classmethod
    def inside(
        cls, limits: ParserLimits | None = None, *, default: str = ns.CLIENT, declared: Declared = ()
    ) -> StreamParser:
        """A parser of first-level elements alone, as if a header had come that declared this default namespace ("" for
        none), and these prefixes.
        """
        parser = cls(limits)
        prefixes = {f"xmlns:{prefix}": uri for prefix, uri in declared}
        parser._begin(b"<stream%b>" % write_attributes({"xmlns": default or None, **prefixes}))
        parser._declared = declared
        return parser

    def _begin(self, primer: bytes) -> None:
        self._primer = primer  # a stream header that puts a new expat parser where the old one was
        self._declared: Declared = ()
        self._expat: expat.XMLParserType | None = None
        self._base = 0  # expat's index of the first byte of _source
        self._source: bytes | bytearray = b""  # what was read since the boundary of the last call
        self._fed = 0  # bytes of _source that expat has seen
        self._boundary = 0  # where in _source the last complete thing ends
        self._delivered = 0  # where in _source the last event that the caller has got ends
        self._depth = 1 if primer else 0
        self._name = ""  # of the first-level element that is open, as are the next four
        self._attrs: dict[str, str] = {}
        self._children: list[str] = []
        self._start = self._head = 0  # where in _source it begins, and where its start tag ends
        self._scanner: TagScanner | None = None
        self._closed = False
        self._error: StreamError | None = None
        self._events.clear()

    def set_limits(self, limits: ParserLimits) -> None:
        """Other limits from now on, e.g. after authentication."""
        self._limits = limits

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take what came from the socket; answers the events that are complete now. The iterator raises StreamError."""
        self.push(data)
        return self._drain()

    def _drain(self) -> Iterator[Event]:
        while (event := self.next_event()) is not None:
            yield event

    def push(self, data: bytes) -> None:
        """Take what came from the socket, to be read by `next_event`."""
        if len(data) <= _PIECE:
            if data:
                self._input.append(data)
        else:
            self._input.extend(data[at : at + _PIECE] for at in range(0, len(data), _PIECE))

    def next_event(self) -> Event | None:
        """The next event, None if more bytes are needed. Raises StreamError."""
        while True:
            if self._events:
                event, self._delivered = self._events.popleft()
                return event
            if self._error is not None:
                raise self._error
            if self._source:
                self._trim()
            if not self._input:
                return None
            self._read(self._input.pop(0))

    def restart(self, *, discard: bool = False) -> None:
        """A new stream begins behind the last event delivered (RFC 6120 §4.3.3). With `discard`, what came there
        already is dropped: after STARTTLS nobody vouches for it (§5.4.3.3).
        """
        rest = self.take_unparsed()
        self._begin(b"")
        if rest and not discard:
            self.push(rest)

    def take_unparsed(self) -> bytes:
        """Remove and answer the bytes behind the last event delivered. Only `restart` may follow."""
        rest = bytes(self._source[self._delivered :]) + b"".join(self._input)
        self._source = b""
        self._delivered = 0
        self._input.clear()
        self._events.clear()
        return rest

    def park(self) -> bool:
        """Give the memory of an idle stream back, 10 KB or more; the next bytes set a new expat parser up. Answers
        whether that was possible: not inside an element, nor before the header or after a fault.
        """
        if self._source or self._input or self._events or not self._primer or self._error is not None:
            return False
        self._expat = None
        self._attrs, self._children = {}, []
        return True

    def _trim(self) -> None:
        """Forget the bytes of what was delivered."""
        if self._boundary == len(self._source):
            self._source = b""
        elif isinstance(self._source, bytearray):
            del self._source[: self._boundary]
        else:
            self._source = bytearray(self._source[self._boundary :])
        self._base += self._boundary
        self._fed -= self._boundary
        self._start -= self._boundary
        self._head -= self._boundary
        self._boundary = self._delivered = 0

    def _read(self, data: bytes) -> None:
        """Let expat see more bytes; events and the error are left in their places."""
        if self._closed:
            return
        if self._depth <= 1 and not self._source:
            # White space need not wake a parked parser, and expat wants the XML declaration at the very start.
            data = data.lstrip(SPACE)
            if not data:
                return
            if not self._primer and data[0] in _NOT_UTF8:
                self._error = StreamError(StreamCondition.UNSUPPORTED_ENCODING, "no byte order mark, and no UTF-16")
                return
        if self._source:
            assert isinstance(self._source, bytearray)
            self._source += data
        else:
            self._source = data
        if not self._primer and self._source[1:2] == b"\0":  # expat would guess UTF-16, whatever it was told
            self._error = StreamError(StreamCondition.UNSUPPORTED_ENCODING, "no UTF-16")
            return
        if self._scanner is not None and not self._scanner.ends_in(data):
            self._check_size()
            return
        self._scanner = None
        self._parse()
        if self._error is None and self._boundary < len(self._source) and not self._closed:
            self._look_at_rest()

    def _parse(self) -> None:
        parser = self._expat
        if parser is not None and self._base > _RENEW_AFTER and self._primer:
            parser = self._expat = None
            self._depth = 1
        try:
            if parser is None:
                parser = self._set_up()
            parser.Parse(self._source[self._fed :] if self._fed else self._source, False)
            self._fed = len(self._source)
        except expat.ExpatError as error:
            self._fail_as_expat(parser, error)
        except StreamError as error:
            self._error = error
            self._expat = None

    def _set_up(self) -> expat.XMLParserType:
        """A new expat parser, told what the stream header declared if that was read already."""
        parser = self._expat = expat.ParserCreate("UTF-8", SEPARATOR)
        # Since 2.6 expat may keep back an element until more bytes come, which on a live stream is too late.
        with suppress(AttributeError):
            parser.SetReparseDeferralEnabled(False)
        if self._primer:
            parser.Parse(self._primer, False)
        else:
            parser.StartNamespaceDeclHandler = self._on_declaration
            parser.XmlDeclHandler = self._on_xml_declaration
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CommentHandler = self._on_comment
        parser.ProcessingInstructionHandler = self._on_instruction
        parser.StartDoctypeDeclHandler = self._on_doctype
        self._base = len(self._primer)
        self._fed = 0
        return parser

    def _on_declaration(self, prefix: str | None, uri: str | None) -> None:
        self._declared += ((prefix or "", uri or ""),)

    def _on_xml_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, "the stream's encoding is UTF-8")

    def _on_comment(self, data: str) -> NoReturn:
        raise StreamError(StreamCondition.RESTRICTED_XML, "a comment")

    def _on_instruction(self, target: str, data: str) -> NoReturn:
        raise StreamError(StreamCondition.RESTRICTED_XML, "a processing instruction")

    def _on_doctype(self, name: str, system: str | None, public: str | None, subset: int) -> NoReturn:
        raise StreamError(StreamCondition.RESTRICTED_XML, "a document type declaration")

    def _on_start(self, name: str, attrs: dict[str, str]) -> None:
        self._depth = depth = self._depth + 1
        limits = self._limits
        if depth - 1 > limits.depth or len(attrs) > limits.attributes:
            raise limits.too_much_inside()
        if depth == 3:
            self._children.append(name)
        elif depth == 2:
            self._open_element(name, attrs)
        elif depth == 1:
            self._open_stream(name, attrs)

    def _open_element(self, name: str, attrs: dict[str, str]) -> None:
        assert self._expat is not None
        self._name = name
        self._attrs = attrs
        self._children = []
        self._start = start = self._expat.CurrentByteIndex - self._base
        if start != self._boundary:
            self._check_gap(start)
        self._head = end_of_tag(self._source, start)

    def _on_end(self, name: str) -> None:
        self._depth = depth = self._depth - 1
        if depth > 1:
            return
        assert self._expat is not None
        at = self._expat.CurrentByteIndex - self._base
        if depth == 1:
            self._close_element(at)
        else:
            self._check_gap(at)
            self._closed = True
            # A header that ends itself (`<stream:stream/>`) has no end tag; what stands behind it is not read anyway.
            self._events.append((StreamClosed(), self._source.find(b">", at) + 1 or at))

    def _close_element(self, at: int) -> None:
        source, start, head = self._source, self._start, self._head
        # Expat's index stands behind an empty-element tag, but before an end tag.
        end = head if source[head - 2] == _SLASH else source.index(b">", at) + 1
        self._boundary = end
        if end - start > self._limits.stanza_bytes:
            raise self._limits.stanza_too_long()
        # A big element's names stay out of the cache, which a peer could fill with them.
        split = split_name if end - start <= _CACHEABLE else split_name.__wrapped__
        namespace, local = split(self._name)
        if namespace in self._content and source[start + 1 + len(local.encode())] not in _AFTER_NAME:
            raise StreamError(StreamCondition.BAD_NAMESPACE_PREFIX, "stanzas go without a prefix")
        attrs = self._attrs
        if SEPARATOR in "".join(attrs):
            attrs = without_prefixed(attrs)
        children = tuple([split(child) for child in self._children])
        raw = bytes(source[start:end])
        self._events.append((Element(local, namespace, attrs, children, raw, head - start, self._declared), end))

    def _open_stream(self, name: str, attrs: dict[str, str]) -> None:
        assert self._expat is not None
        namespace, local = split_name(name)
        if namespace != ns.STREAM:
            raise StreamError(StreamCondition.INVALID_NAMESPACE, f"a stream's namespace is {ns.STREAM}")
        if local != "stream":
            raise StreamError(StreamCondition.INVALID_XML, "a stream's element is named stream")
        default = dict(self._declared).get("", "")
        if default not in self._content and default not in ("", ns.STREAM):
            raise StreamError(StreamCondition.INVALID_NAMESPACE, "no such content namespace here")
        start = self._expat.CurrentByteIndex - self._base
        self._boundary = end_of_tag(self._source, start)
        if self._boundary > self._limits.header_bytes:
            raise self._limits.header_too_long()
        written = qualified_name(self._source, start)
        self._primer, self._declared = primer_of(written, self._declared)
        self._expat.StartNamespaceDeclHandler = None
        attrs = without_prefixed(attrs)
        self._events.append((StreamOpened(attrs, default, attrs.get("xml:lang", "")), self._boundary))

    def _check_gap(self, until: int) -> None:
        if self._source[self._boundary : until].strip(SPACE):
            raise StreamError(StreamCondition.BAD_FORMAT, "text between stanzas")

    def _look_at_rest(self) -> None:
        """What is there of an element that is not complete: nothing wrong so far?"""
        assert self._expat is not None
        if self._depth == 1:
            rest = self._source[self._boundary :].lstrip(SPACE)
            if not rest:
                self._boundary = len(self._source)
                return
            if not rest.startswith(b"<"):
                self._error = StreamError(StreamCondition.BAD_FORMAT, "text between stanzas")
                return
        self._check_size()
        if self._depth == 0 or self._error is not None:
            return
        unread = self._source[self._expat.CurrentByteIndex - self._base :]
        if unread.startswith((b"<?", b"<!--", b"<!D")) or (unread[:1] == b"&" and len(unread) > _LONG_REFERENCE):
            self._error = StreamError(StreamCondition.RESTRICTED_XML, "comment, declaration, instruction or reference")
        elif len(unread) > _LONG_TAG:
            self._scanner = TagScanner()
            self._scanner.ends_in(unread)

    def _check_size(self) -> None:
        length = len(self._source) - self._boundary
        if self._depth == 0:
            if length > self._limits.header_bytes:
                self._error = self._limits.header_too_long()
        elif length > self._limits.stanza_bytes:
            self._error = self._limits.stanza_too_long()

    def _fail_as_expat(self, parser: expat.XMLParserType | None, error: expat.ExpatError) -> None:
        self._expat = None
        if self._closed or parser is None:
            return
        at = parser.ErrorByteIndex - self._base
        gap = self._source[self._boundary : at].strip(SPACE) if self._depth == 1 else b""
        if gap and not gap.startswith(b"<"):
            self._error = StreamError(StreamCondition.BAD_FORMAT, "text between stanzas")
        elif self._source[at - 2 : at + 1] == b"<!D":
            self._error = StreamError(StreamCondition.RESTRICTED_XML, "a document type declaration")
        else:
            self._error = as_stream_error(error)
