"""HTTP/2 (RFC 9113) for the same handlers that HTTP/1.1 has: a greenlet for each stream, frames by `h2`."""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import gevent
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame, SettingsFrame

from gateway.telemetry import get_logger
from workers.sandbox.http import BODY_LIMIT, NEVER_S, HttpHandler, HttpRequest, HttpResponse, pieces

log = get_logger(__name__)

READ_SIZE = 65536
IDLE_TIMEOUT_S = 3600.0
SEND_TIMEOUT_S = 10.0
WINDOW_TIMEOUT_S = 60.0
LAST_STREAM = 2**31 - 1
# h2 enforces what it announces from the first byte on; here the limit is enforced by GOAWAY, as Google does it.
STREAMS_BEFORE_GOAWAY = 100_000


@dataclass
class _Incoming:
    """A request whose end has not come yet."""

    fields: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class Http2Connection:
    """Serves one connection in the greenlet that calls `run`. `stream_limit` says how many streams may be open at once.

    More of them than announced draw GOAWAY with ENHANCE_YOUR_CALM and `exceeded_max_concurrent_streams`.
    """

    def __init__(
        self,
        sock: Any,
        handler: HttpHandler,
        number: int,
        *,
        stream_limit: Callable[[], int],
        count: Callable[[str], None],
    ) -> None:
        self._sock = sock
        self._handler = handler
        self._number = number
        self._stream_limit = stream_limit
        self._count = count
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self._wire = bytearray()
        self._sending = BoundedSemaphore(1)
        self._incoming: dict[int, _Incoming] = {}
        self._serving: dict[int, gevent.Greenlet] = {}
        self._window_opened = Signal()
        self._last_stream_id = LAST_STREAM
        self._is_open = True

    def run(self) -> None:
        """Talk until the client leaves, breaks the protocol, is idle for too long, or a GOAWAY has been carried out."""
        try:
            self._open()
            while self._is_open and (data := self._receive()):
                self._take(data)
                self._flush()
                if self._is_finished():
                    break
        except OSError:
            # Clients come and go as they like; what was unanswered stays unanswered.
            pass
        finally:
            self.close()

    def close(self, *, abruptly: bool = False) -> None:
        """Close the socket; `abruptly` by a TCP reset."""
        self._is_open = False
        current = gevent.getcurrent()
        gevent.killall([one for one in self._serving.values() if one is not current], block=False)
        self._serving.clear()
        self._window_opened.set()
        with suppress(OSError):
            if abruptly:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def retire(self, reason: str) -> None:
        """GOAWAY (RFC 9113 section 6.8) from outside, for every stream not yet received. Raises OSError."""
        self._go_away(self._h2.highest_inbound_stream_id, ErrorCodes.NO_ERROR, reason)
        self._flush()
        if self._is_finished():
            self.close()

    def _open(self) -> None:
        self._h2.local_settings = Settings(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_BEFORE_GOAWAY}
        )
        self._h2.initiate_connection()
        self._h2.clear_outbound_data_buffer()
        announced = {int(SettingCodes.MAX_CONCURRENT_STREAMS): self._stream_limit()}
        self._wire += SettingsFrame(0, settings=announced).serialize()
        self._flush()

    def _receive(self) -> bytes:
        data: bytes | None = None
        with gevent.Timeout(IDLE_TIMEOUT_S, False):
            data = self._sock.recv(READ_SIZE)
        return data or b""

    def _take(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            log.info("http2_connection_broken", connection=self._number, error=type(error).__name__)
            self._h2.clear_outbound_data_buffer()
            self._go_away(self._h2.highest_inbound_stream_id, int(error.error_code), type(error).__name__)
            self._is_open = False
            return
        for event in events:
            self._handle(event)

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream_id), headers=headers):
                self._begin(stream_id, {str(name): str(value) for name, value in headers or ()})
            case DataReceived(stream_id=int(stream_id), data=data, flow_controlled_length=int(length)):
                incoming = self._incoming.get(stream_id)
                if incoming is not None and len(incoming.body) <= BODY_LIMIT:
                    incoming.body += data or b""
                self._h2.acknowledge_received_data(length, stream_id)
            case StreamEnded(stream_id=int(stream_id)):
                if (complete := self._incoming.pop(stream_id, None)) is not None:
                    self._serving[stream_id] = gevent.spawn(self._serve, stream_id, complete)
            case StreamReset(stream_id=int(stream_id)):
                self._incoming.pop(stream_id, None)
                if (greenlet := self._serving.pop(stream_id, None)) is not None:
                    greenlet.kill(block=False)
            case WindowUpdated() | RemoteSettingsChanged():
                self._window_opened.set()
                self._window_opened = Signal()
            case ConnectionTerminated():
                self._is_open = False
            case _:
                # PING and SETTINGS are answered by h2 itself; what else there is needs no answer.
                return

    def _begin(self, stream_id: int, fields: dict[str, str]) -> None:
        if stream_id > self._last_stream_id:
            return
        if len(self._incoming) + len(self._serving) >= self._stream_limit():
            self._go_away(stream_id - 2, ErrorCodes.ENHANCE_YOUR_CALM, "exceeded_max_concurrent_streams")
            return
        self._count("streams")
        self._incoming[stream_id] = _Incoming(fields)

    def _serve(self, stream_id: int, incoming: _Incoming) -> None:
        try:
            if len(incoming.body) > BODY_LIMIT:
                response = HttpResponse(413)
            else:
                response = self._handler(_request(incoming, self._number, stream_id))
            self._answer(stream_id, response)
            self._flush()
        except OSError:
            self.close()
        except ProtocolError:
            # The client has reset the stream in the meantime.
            log.debug("http2_stream_gone", connection=self._number, stream=stream_id)
        finally:
            self._serving.pop(stream_id, None)
        if self._is_finished():
            self.close()

    def _answer(self, stream_id: int, response: HttpResponse) -> None:
        match response.ending:
            case "ignore":
                gevent.sleep(NEVER_S)
                self.close(abruptly=True)
            case "close":
                self.close(abruptly=True)
            case "reset":
                self._h2.reset_stream(stream_id, response.error_code)
            case "goaway":
                self._go_away(stream_id - 2, ErrorCodes.NO_ERROR, response.reason)
            case "truncated":
                self._send(stream_id, response, response.body[: len(response.body) // 2], is_whole=False)
                self._h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            case _:
                self._send(stream_id, response, response.body, is_whole=True)

    def _send(self, stream_id: int, response: HttpResponse, body: bytes, *, is_whole: bool) -> None:
        fields = [(":status", str(response.status)), ("content-type", response.content_type)]
        fields += [("content-length", str(len(response.body)))]
        fields += [(name.lower(), value) for name, value in response.headers]
        self._h2.send_headers(stream_id, fields, end_stream=is_whole and not body)
        chunks = pieces(body, response.slow_s)
        for number, (chunk, pause_s) in enumerate(chunks, start=1):
            self._flush()
            gevent.sleep(pause_s)
            self._send_data(stream_id, chunk, is_last=is_whole and number == len(chunks))

    def _send_data(self, stream_id: int, data: bytes, *, is_last: bool) -> None:
        """DATA frames as the client's windows admit them (RFC 9113 section 5.2)."""
        while self._is_open:
            room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size, len(data))
            if room == 0 and data:
                self._flush()
                if not self._window_opened.wait(WINDOW_TIMEOUT_S):
                    raise TimeoutError("the client opens no window")
                continue
            rest = data[room:]
            self._h2.send_data(stream_id, data[:room], end_stream=is_last and not rest)
            if not rest:
                return
            data = rest

    def _go_away(self, last_stream_id: int, error_code: int, reason: str) -> None:
        """Written past `h2`, which would refuse to answer the streams that are still to be answered."""
        self._last_stream_id = min(self._last_stream_id, max(0, last_stream_id))
        frame = GoAwayFrame(
            0, last_stream_id=self._last_stream_id, error_code=int(error_code), additional_data=reason.encode()
        )
        self._wire += self._h2.data_to_send() + frame.serialize()
        for stream_id in [number for number in self._incoming if number > self._last_stream_id]:
            del self._incoming[stream_id]
        self._count("goaways")

    def _is_finished(self) -> bool:
        return self._last_stream_id != LAST_STREAM and not (self._incoming or self._serving)

    def _flush(self) -> None:
        with self._sending:
            while self._is_open or self._wire:
                self._wire += self._h2.data_to_send()
                if not self._wire:
                    return
                data, self._wire = bytes(self._wire), bytearray()
                with gevent.Timeout(SEND_TIMEOUT_S, TimeoutError("the client does not read")):
                    self._sock.sendall(data)


def _request(incoming: _Incoming, connection: int, stream_id: int) -> HttpRequest:
    path, _, query = incoming.fields.get(":path", "/").partition("?")
    headers = {name: value for name, value in incoming.fields.items() if not name.startswith(":")}
    method = incoming.fields.get(":method", "")
    return HttpRequest(
        method, path, dict(parse_qsl(query)), headers, bytes(incoming.body), connection=connection, stream=stream_id
    )
