"""The client side of one HTTP/2 connection without I/O (RFC 9113): exchanges in, bytes out; bytes in, results out.

Of jh2 only HPACK (RFC 7541) is used: its connection object costs more than all the rest of a push, and, as h2, regards
a connection as closed when GOAWAY comes, though streams up to `last_stream_id` run to their end (section 6.8).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from workers.push.http2.exchange import Exchange
from workers.push.http2.frames import (
    ACK,
    END_STREAM,
    PREFACE,
    Code,
    Frame,
    FrameCutter,
    FrameError,
    Goaway,
    Kind,
    Setting,
    frame,
    read_goaway,
    read_number,
    read_settings,
    settings,
    unpadded,
)
from workers.push.http2.header_blocks import HeaderBlocks
from workers.push.reply import Processed, Reply, Unanswered

BODY_LIMIT: Final = 65_536
"""Bytes of an answer's body that are kept; providers' answers have a hundred."""

BACKLOG_LIMIT: Final = 1_048_576
"""Bytes of our answers (to PING, SETTINGS, DATA) that the peer may leave unread while it asks for more."""

WINDOW: Final = 65_535
LARGEST_WINDOW: Final = 0x7FFF_FFFF

LAST_STREAM: Final = 0x7FFF_FFFF - 1000
"""A connection that has come this far in stream ids is replaced."""


class ConnectionBroken(Exception):
    """The peer broke the protocol, or went: nothing more will come of this connection."""


@dataclass(eq=False, slots=True)
class _Stream:
    exchange: Exchange
    window: int
    unsent: bytes = b""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class ClientProtocol:
    """Streams of one connection. `free_streams` says how many more may be opened now; `replay` is called with each
    exchange that the peer said it has not processed.
    """

    def __init__(self, *, most_streams: int, replay: Callable[[Exchange], None]) -> None:
        self._headers = HeaderBlocks()
        self._cutter = FrameCutter()
        self._most_streams = most_streams
        self._replay = replay
        self._streams: dict[int, _Stream] = {}
        self._blocked: set[int] = set()
        self._next_id = 1
        self._has_settings = False
        self._allowed = 1
        self._allowance = most_streams
        self._window = WINDOW
        self._first_window = WINDOW
        self._frame_size = 16_384
        self._unread = 0
        self._out: list[bytes] = [PREFACE, settings({Setting.ENABLE_PUSH: 0})]
        self._backlog = 0
        self.goaway: Goaway | None = None
        self.pongs = 0
        self.answered = 0

    @property
    def in_flight(self) -> int:
        """Exchanges that wait for their answer here."""
        return len(self._streams)

    @property
    def is_draining(self) -> bool:
        """No new streams: the peer said GOAWAY, or the stream ids run out."""
        return self.goaway is not None or self._next_id >= LAST_STREAM

    @property
    def free_streams(self) -> int:
        """Streams that may be opened now. One before the peer's SETTINGS are known: APNs allows no more before a valid
        token.
        """
        if self.is_draining:
            return 0
        return max(0, min(self._allowed, self._allowance) - len(self._streams))

    def to_send(self) -> bytes:
        """What has to go to the peer now."""
        data = b"".join(self._out)
        self._out.clear()
        self._backlog = 0
        return data

    def start(self, exchange: Exchange) -> int:
        """Open a stream for a request; only while `free_streams` is above 0. Answers the stream's id.

        Raises ConnectionBroken if the connection cannot carry it: then nothing was sent.
        """
        stream_id = self._next_id
        try:
            head = self._headers.frames(
                stream_id, exchange.headers, is_end=not exchange.body, frame_size=self._frame_size
            )
        except FrameError as error:
            raise ConnectionBroken(str(error)) from error
        self._out.append(head)
        self._next_id += 2
        exchange.tries += 1
        stream = self._streams[stream_id] = _Stream(exchange, self._first_window, exchange.body)
        if stream.unsent:
            self._send_body(stream_id, stream)
        return stream_id

    def cancel(self, exchange: Exchange) -> bool:
        """Give up waiting for an answer: RST_STREAM(CANCEL), so that the stream's place is free again (section 8.1).

        Answers whether the exchange was in flight here.
        """
        stream_id = next((sid for sid, stream in self._streams.items() if stream.exchange is exchange), None)
        if stream_id is None:
            return False
        self._forget(stream_id)
        self._reset(stream_id, Code.CANCEL)
        return True

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life (section 6.7); `payload` has 8 bytes. `pongs` counts the answers."""
        self._out.append(frame(Kind.PING, 0, payload))

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer and settle what they answer. Raises ConnectionBroken when the peer breaks the
        protocol; what it had answered before is settled.
        """
        try:
            for found in self._cutter.feed(data):
                if self._headers.is_begun or not self._has_settings:
                    self._check_order(found.kind)
                handler = _HANDLERS.get(found.kind)
                if handler is not None:  # section 4.1: a type that is not known is ignored
                    handler(self, found)
        except FrameError as error:
            raise ConnectionBroken(str(error)) from error

    def abandon(self) -> list[Exchange]:
        """The connection is gone: everything in flight, each counted as doubtful. Who asks decides what becomes of
        them.
        """
        left = [stream.exchange for stream in self._streams.values() if not stream.exchange.is_settled]
        self._streams.clear()
        self._blocked.clear()
        for exchange in left:
            exchange.doubtful += 1
        return left

    # What we send.

    def _send_body(self, stream_id: int, stream: _Stream) -> None:
        """As much as both windows and the frame size allow; the rest when WINDOW_UPDATE comes (section 5.2)."""
        while stream.unsent:
            room = min(self._window, stream.window, self._frame_size)
            if room <= 0:
                self._blocked.add(stream_id)
                return
            part, stream.unsent = stream.unsent[:room], stream.unsent[room:]
            self._window -= len(part)
            stream.window -= len(part)
            self._out.append(frame(Kind.DATA, stream_id, part, 0 if stream.unsent else END_STREAM))
        self._blocked.discard(stream_id)

    def _unblock(self) -> None:
        for stream_id in sorted(self._blocked):
            self._send_body(stream_id, self._streams[stream_id])

    def _reset(self, stream_id: int, code: Code) -> None:
        self._out.append(frame(Kind.RST_STREAM, stream_id, int(code).to_bytes(4, "big")))

    def _answer(self, data: bytes) -> None:
        """Queue what the peer's frame demands, unless it only asks and never reads."""
        self._backlog += len(data)
        if self._backlog > BACKLOG_LIMIT:
            raise FrameError("the peer asks for answers and does not read them")
        self._out.append(data)

    def _forget(self, stream_id: int) -> _Stream | None:
        self._blocked.discard(stream_id)
        return self._streams.pop(stream_id, None)

    # What comes.

    def _check_order(self, kind: int) -> None:
        """Sections 3.4 and 4.3."""
        if self._headers.is_begun and kind != Kind.CONTINUATION:
            raise FrameError("a header block is interrupted")
        if not self._has_settings and kind not in (Kind.SETTINGS, Kind.GOAWAY):
            raise FrameError("the first frame is not SETTINGS")

    def _known(self, found: Frame) -> _Stream | None:
        """The stream of a frame; None if it is over. Raises FrameError if it was never opened (section 5.1)."""
        if found.stream_id == 0 or found.stream_id % 2 == 0 or found.stream_id >= self._next_id:
            raise FrameError(f"frame {found.kind} on stream {found.stream_id}, which we did not open")
        return self._streams.get(found.stream_id)

    def _on_data(self, found: Frame) -> None:
        stream = self._known(found)
        size = len(found.payload)
        if size:
            self._unread += size
            if self._unread >= WINDOW // 2:
                self._answer(frame(Kind.WINDOW_UPDATE, 0, self._unread.to_bytes(4, "big")))
                self._unread = 0
            if stream is not None and not found.flags & END_STREAM:
                self._answer(frame(Kind.WINDOW_UPDATE, found.stream_id, size.to_bytes(4, "big")))
        if stream is None:
            return
        if len(stream.body) < BODY_LIMIT:
            stream.body += unpadded(found)[: BODY_LIMIT - len(stream.body)]
        if found.flags & END_STREAM:
            self._on_end(found.stream_id, stream)

    def _on_headers(self, found: Frame) -> None:
        """HEADERS and CONTINUATION. Interim answers (1xx) and trailers are read as what they are: nothing, and more
        headers.
        """
        self._known(found)
        whole = self._headers.take(found)
        if whole is None:
            return
        first, fields = whole
        stream = self._streams.get(first.stream_id)
        if stream is None:
            return
        for name, value in fields:
            if name == b":status":
                stream.status = int(value) if value.isdigit() else 0
            else:
                stream.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        if first.flags & END_STREAM:
            self._on_end(first.stream_id, stream)
        elif stream.status < 200:
            stream.status = 0
            stream.headers.clear()

    def _on_end(self, stream_id: int, stream: _Stream) -> None:
        self._forget(stream_id)
        if stream.unsent:
            # Answered before we were done asking (a refusal by the headers alone): the rest is not wanted.
            self._reset(stream_id, Code.CANCEL)
        self._allowance = min(self._allowance + 1, self._most_streams)
        self.answered += 1
        if stream.status:
            stream.exchange.settle(Reply(stream.status, stream.headers, stream.body))
        else:
            stream.exchange.settle(Unanswered("an answer without a status", Processed.MAYBE))

    def _on_reset(self, found: Frame) -> None:
        self._known(found)
        code = read_number(found.payload, "RST_STREAM")
        stream = self._forget(found.stream_id)
        if stream is None:
            return
        if code == Code.REFUSED_STREAM:
            # Section 8.7: certainly not processed. Whatever SETTINGS say, it takes no more than it has now.
            self._allowance = max(1, len(self._streams))
            stream.exchange.refusals += 1
            self._replay(stream.exchange)
        elif stream.status:
            # The answer's head is there; a server may reset what it does not read to the end (section 8.1).
            stream.exchange.settle(Reply(stream.status, stream.headers, stream.body))
        else:
            stream.exchange.settle(Unanswered(f"stream reset, code {code}", Processed.MAYBE))

    def _on_settings(self, found: Frame) -> None:
        if found.stream_id or (found.flags & ACK and found.payload):
            raise FrameError("SETTINGS where none may be")
        if found.flags & ACK:
            return
        if not self._has_settings:
            self._has_settings = True
            self._allowed = self._most_streams
        for name, value in read_settings(found.payload):
            self._apply(name, value)
        self._answer(frame(Kind.SETTINGS, 0, flags=ACK))
        self._unblock()

    def _apply(self, name: int, value: int) -> None:
        """Section 6.5.2."""
        if name == Setting.MAX_CONCURRENT_STREAMS:
            self._allowed = min(value, self._most_streams)
            self._allowance = self._most_streams
        elif name == Setting.INITIAL_WINDOW_SIZE:
            if value > LARGEST_WINDOW:
                raise FrameError("a window beyond 2^31-1")
            for stream in self._streams.values():
                stream.window += value - self._first_window  # may become negative (section 6.9.2)
            self._first_window = value
            self._blocked.update(sid for sid, stream in self._streams.items() if stream.unsent)
        elif name == Setting.MAX_FRAME_SIZE:
            if not 16_384 <= value <= 16_777_215:
                raise FrameError(f"a frame size of {value}")
            self._frame_size = value
        elif name == Setting.HEADER_TABLE_SIZE:
            self._headers.allow_table(value)
        elif name == Setting.ENABLE_PUSH and value:
            raise FrameError("a server that wants to be pushed to")

    def _on_ping(self, found: Frame) -> None:
        if found.stream_id or len(found.payload) != 8:
            raise FrameError("PING where none may be")
        if found.flags & ACK:
            self.pongs += 1
        else:
            self._answer(frame(Kind.PING, 0, found.payload, ACK))

    def _on_goaway(self, found: Frame) -> None:
        """A second GOAWAY may lower the mark, never raise it."""
        if found.stream_id:
            raise FrameError("GOAWAY on a stream")
        self.goaway = read_goaway(found.payload)
        for stream_id in [sid for sid in self._streams if sid > self.goaway.last_stream_id]:
            stream = self._forget(stream_id)
            if stream is not None:
                self._replay(stream.exchange)

    def _on_window(self, found: Frame) -> None:
        increment = read_number(found.payload, "WINDOW_UPDATE") & LARGEST_WINDOW
        if found.stream_id == 0:
            self._window += increment
            if not increment or self._window > LARGEST_WINDOW:
                raise FrameError(f"the connection's window grows by {increment}")
            self._unblock()
            return
        stream = self._known(found)
        if stream is None:
            return
        stream.window += increment
        if not increment or stream.window > LARGEST_WINDOW:
            raise FrameError(f"a stream's window grows by {increment}")
        if found.stream_id in self._blocked:
            self._send_body(found.stream_id, stream)

    def _on_promise(self, _found: Frame) -> None:
        raise FrameError("PUSH_PROMISE, which we had ruled out")


_HANDLERS: Final[dict[int, Callable[[ClientProtocol, Frame], None]]] = {
    Kind.DATA: ClientProtocol._on_data,
    Kind.HEADERS: ClientProtocol._on_headers,
    Kind.RST_STREAM: ClientProtocol._on_reset,
    Kind.SETTINGS: ClientProtocol._on_settings,
    Kind.PUSH_PROMISE: ClientProtocol._on_promise,
    Kind.PING: ClientProtocol._on_ping,
    Kind.GOAWAY: ClientProtocol._on_goaway,
    Kind.WINDOW_UPDATE: ClientProtocol._on_window,
    Kind.CONTINUATION: ClientProtocol._on_headers,
}
