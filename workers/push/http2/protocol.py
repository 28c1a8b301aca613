# mypy: disable-error-code="import-untyped"
# jh2 has types in its Rust part only.
"""The client side of one HTTP/2 connection without I/O (RFC 9113): exchanges in, bytes out; bytes in, results out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from jh2.config import H2Configuration
from jh2.connection import H2Connection
from jh2.errors import ErrorCodes
from jh2.events import (
    DataReceived,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from jh2.exceptions import H2Error, NoAvailableStreamIDError
from jh2.settings import SettingCodes

from workers.push.http2.exchange import Exchange
from workers.push.http2.frames import FrameCutter, FrameError, Goaway
from workers.push.reply import Processed, Reply, Unanswered

BODY_LIMIT: Final = 65_536
"""Bytes of an answer's body that are kept; providers' answers have a hundred."""

LAST_STREAM: Final = 0x7FFF_FFFF - 1000
"""A connection that has come this far in stream ids is replaced."""


class ConnectionBroken(Exception):
    """The peer broke the protocol, or went: nothing more will come of this connection."""


@dataclass(eq=False)
class _Stream:
    exchange: Exchange
    unsent: bytes = b""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class ClientProtocol:
    """Streams of one connection. `free_streams` says how many more may be opened now; `replay` is called with each
    exchange that the peer said it has not processed.
    """

    def __init__(self, *, most_streams: int, replay: Callable[[Exchange], None]) -> None:
        self._h2 = H2Connection(
            H2Configuration(
                client_side=True,
                # What we send is made by our own code from validated parts; what we get is read leniently.
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self._cutter = FrameCutter()
        self._most_streams = most_streams
        self._replay = replay
        self._streams: dict[int, _Stream] = {}
        self._blocked: set[int] = set()
        self._has_settings = False
        self.goaway: Goaway | None = None
        self.pongs = 0
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.ENABLE_PUSH: 0})

    @property
    def in_flight(self) -> int:
        """Exchanges that wait for their answer here."""
        return len(self._streams)

    @property
    def is_draining(self) -> bool:
        """No new streams: the peer said GOAWAY, or the stream ids run out."""
        return self.goaway is not None or self._h2.highest_outbound_stream_id >= LAST_STREAM

    @property
    def free_streams(self) -> int:
        """Streams that may be opened now. One before the peer's SETTINGS are known: APNs allows no more before a valid
        token.
        """
        if self.is_draining:
            return 0
        allowed = min(self._most_streams, self._h2.remote_settings.max_concurrent_streams) if self._has_settings else 1
        return max(0, int(allowed) - len(self._streams))

    def to_send(self) -> bytes:
        """What has to go to the peer now."""
        return bytes(self._h2.data_to_send())

    def start(self, exchange: Exchange) -> int:
        """Open a stream for a request; only while `free_streams` is above 0. Answers the stream's id.

        Raises ConnectionBroken if the connection cannot carry it: then nothing was sent.
        """
        try:
            stream_id = int(self._h2.get_next_available_stream_id())
            self._h2.send_headers(stream_id, exchange.headers, end_stream=not exchange.body)
        except (H2Error, NoAvailableStreamIDError) as error:
            raise ConnectionBroken(str(error)) from error
        exchange.tries += 1
        self._streams[stream_id] = _Stream(exchange, exchange.body)
        try:
            self._send_body(stream_id)
        except ConnectionBroken:
            del self._streams[stream_id]
            raise
        return stream_id

    def cancel(self, exchange: Exchange) -> bool:
        """Give up waiting for an answer: RST_STREAM(CANCEL), so that the stream's place is free again (section 8.1).

        Answers whether the exchange was in flight here.
        """
        stream_id = next((sid for sid, stream in self._streams.items() if stream.exchange is exchange), None)
        if stream_id is None:
            return False
        del self._streams[stream_id]
        self._blocked.discard(stream_id)
        self._reset(stream_id, ErrorCodes.CANCEL)
        return True

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life (section 6.7); `payload` has 8 bytes. `pongs` counts the answers."""
        self._h2.ping(payload)

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer and settle what they answer. Raises ConnectionBroken when the peer breaks the
        protocol; what it had answered before is settled.
        """
        try:
            for frame in self._cutter.feed(data):
                if isinstance(frame, Goaway):
                    self._take_goaway(frame)
                else:
                    # One frame at a time: jh2 forgets the events of the frames before a faulty one.
                    for event in self._h2.receive_data(frame):
                        handler = _HANDLERS.get(type(event))
                        if handler is not None:
                            handler(self, event)
        except (H2Error, FrameError) as error:
            raise ConnectionBroken(f"{type(error).__name__}: {error}") from error

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

    def _take_goaway(self, goaway: Goaway) -> None:
        """A second GOAWAY may lower the mark, never raise it."""
        self.goaway = goaway
        for stream_id in [sid for sid in self._streams if sid > goaway.last_stream_id]:
            stream = self._streams.pop(stream_id)
            self._blocked.discard(stream_id)
            self._replay(stream.exchange)

    def _send_body(self, stream_id: int) -> None:
        """As much as both windows and the frame size allow; the rest when WINDOW_UPDATE comes (section 5.2)."""
        stream = self._streams[stream_id]
        while stream.unsent:
            room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._blocked.add(stream_id)
                return
            part, stream.unsent = stream.unsent[:room], stream.unsent[room:]
            try:
                self._h2.send_data(stream_id, part, end_stream=not stream.unsent)
            except H2Error as error:
                raise ConnectionBroken(str(error)) from error
        self._blocked.discard(stream_id)

    def _unblock(self) -> None:
        for stream_id in sorted(self._blocked):
            self._send_body(stream_id)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        try:
            self._h2.reset_stream(stream_id, error_code=code)
        except H2Error as error:
            raise ConnectionBroken(str(error)) from error

    def _on_settings(self, _event: RemoteSettingsChanged) -> None:
        self._has_settings = True
        self._unblock()

    def _on_window(self, _event: WindowUpdated) -> None:
        self._unblock()

    def _on_response(self, event: ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        for name, value in event.headers:
            text = bytes(value).decode("latin-1")
            if name == b":status":
                stream.status = int(text) if text.isascii() and text.isdigit() else 0
            else:
                stream.headers[bytes(name).decode("latin-1").lower()] = text

    def _on_data(self, event: DataReceived) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None and len(stream.body) < BODY_LIMIT:
            stream.body += event.data[: BODY_LIMIT - len(stream.body)]

    def _on_end(self, event: StreamEnded) -> None:
        stream = self._streams.pop(event.stream_id, None)
        if stream is None:
            return
        self._blocked.discard(event.stream_id)
        if stream.unsent:
            # Answered before we were done asking (a refusal by the headers alone): the rest is not wanted (section
            # 8.1).
            self._reset(event.stream_id, ErrorCodes.NO_ERROR)
        stream.exchange.settle(Reply(stream.status, stream.headers, bytes(stream.body)))

    def _on_reset(self, event: StreamReset) -> None:
        stream = self._streams.pop(event.stream_id, None)
        if stream is None:
            return
        self._blocked.discard(event.stream_id)
        if event.error_code == ErrorCodes.REFUSED_STREAM:
            self._replay(stream.exchange)  # section 8.7: certainly not processed
        elif stream.status:
            # The answer's head is there; a server may reset what it does not read to the end (section 8.1).
            stream.exchange.settle(Reply(stream.status, stream.headers, bytes(stream.body)))
        else:
            stream.exchange.settle(Unanswered(f"stream reset, code {int(event.error_code)}", Processed.MAYBE))

    def _on_pong(self, _event: PingAckReceived) -> None:
        self.pongs += 1


_HANDLERS: Final[dict[type, Callable[[ClientProtocol, Any], None]]] = {
    DataReceived: ClientProtocol._on_data,
    PingAckReceived: ClientProtocol._on_pong,
    RemoteSettingsChanged: ClientProtocol._on_settings,
    ResponseReceived: ClientProtocol._on_response,
    StreamEnded: ClientProtocol._on_end,
    StreamReset: ClientProtocol._on_reset,
    WindowUpdated: ClientProtocol._on_window,
}
