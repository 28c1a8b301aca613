"""One HTTP/2 connection to APNs, server side: frames by `h2` (RFC 9113), faults where a server can go wrong."""

import json
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.event import Event as Signal
from gevent.lock import BoundedSemaphore
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
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
from workers.sandbox.apns.credential import Credential, TokenCredential
from workers.sandbox.apns.frames import chunks, continued
from workers.sandbox.apns.request import ApnsRequest
from workers.sandbox.apns.service import ApnsAnswer, ApnsService
from workers.sandbox.http import pieces

log = get_logger(__name__)

READ_SIZE = 65536
BODY_KEPT = 65536
SEND_TIMEOUT_S = 10.0
PING_BYTES = b"wakegate"
BAD_TOKEN_WEIGHT = 5
LAST_STREAM = 2**31 - 1
# More than any client may open before it has read that it may open one: only an acknowledged limit is enforced.
STREAMS_BEFORE_SETTINGS = 10_000


@dataclass
class Incoming:
    """A request whose end has not come yet."""

    fields: list[tuple[str, str]]
    body: bytearray = field(default_factory=bytearray)


class ApnsConnection:
    """Serves one TLS connection in the greenlet that calls `run`; delayed answers have a greenlet each."""

    def __init__(self, sock: Any, service: ApnsService, credential: Credential, number: int) -> None:
        self._sock = sock
        self._service = service
        self._credential = credential
        self._number = number
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._wire = bytearray()
        self._sending = BoundedSemaphore(1)
        self._incoming: dict[int, Incoming] = {}
        self._delayed: dict[int, gevent.Greenlet] = {}
        self._unsent: dict[int, deque[bytes]] = {}
        self._last_stream_id = LAST_STREAM
        self._offered_streams = 0
        self._offered_window = 0
        self._is_trusted = False
        self._is_narrow = False
        self._withheld: list[tuple[int, int]] = []
        self._errors = 0
        self._ping_answered = Signal()
        self._is_open = True

    def run(self) -> None:
        """Talk until the client leaves, breaks the protocol, is idle for too long, or a GOAWAY has been carried out."""
        try:
            self._open()
            while self._is_open and (data := self._receive()):
                self._take(data)
                self._flush()
                if self._is_leaving() and not (self._incoming or self._delayed or self._unsent):
                    break
        except OSError:
            # Clients come and go as they like; what was unanswered stays unanswered.
            pass
        finally:
            self.close()

    def close(self, *, abruptly: bool = False) -> None:
        """Close the socket; `abruptly` as a crashed server would: TCP reset, no TLS close_notify."""
        self._is_open = False
        current = gevent.getcurrent()
        waiting = [greenlet for greenlet in self._delayed.values() if greenlet is not current]
        self._delayed.clear()
        gevent.killall(waiting, block=False)
        try:
            if abruptly:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Already gone.
            pass
        self._sock.close()

    def go_away(self, reason: str, *, last_stream_id: int | None = None, error_code: int = 0) -> None:
        """Send GOAWAY (RFC 9113 section 6.8) with Apple's JSON reason; later streams than the last are not looked at.

        The frame is written past `h2`, which would refuse to answer the streams that are still to be answered.
        """
        last = self._h2.highest_inbound_stream_id if last_stream_id is None else last_stream_id
        self._last_stream_id = min(self._last_stream_id, last)
        content = json.dumps({"reason": reason}).encode()
        frame = GoAwayFrame(0, last_stream_id=last, error_code=error_code, additional_data=content)
        self._wire += self._h2.data_to_send() + frame.serialize()
        for stream_id in [number for number in self._incoming if number > last]:
            del self._incoming[stream_id]
        for stream_id in [number for number in self._delayed if number > last]:
            self._delayed.pop(stream_id).kill(block=False)
        self._count("goaways")

    def retire(self, reason: str) -> None:
        """GOAWAY from outside the connection's greenlet, at once, for everything not yet received."""
        self.go_away(reason)
        self._flush()
        if not (self._incoming or self._delayed or self._unsent):
            self.close()

    def refresh(self) -> None:
        """The sandbox's behaviour has changed: offer what it says now, on the connection as it is. Raises OSError."""
        self._offer()
        if self._service.state.behaviour.apns_window_updates:
            withheld, self._withheld = self._withheld, []
            for length, stream_id in withheld:
                self._h2.acknowledge_received_data(length, stream_id)
        self._flush()

    def ping(self, timeout_s: float) -> float | None:
        """Send PING (RFC 9113 section 6.7); returns the seconds until it was answered, None if it was not."""
        self._ping_answered.clear()
        started = time.monotonic()
        self._h2.ping(PING_BYTES)
        self._flush()
        return time.monotonic() - started if self._ping_answered.wait(timeout_s) else None

    def _open(self) -> None:
        behaviour = self._service.state.behaviour
        self._is_trusted = not isinstance(self._credential, TokenCredential)
        self._offered_streams = self._streams_to_offer()
        self._offered_window = behaviour.apns_initial_window_size
        announced = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self._offered_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: self._offered_window,
            SettingCodes.MAX_HEADER_LIST_SIZE: behaviour.apns_max_header_list_size,
        }
        before = {SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_BEFORE_SETTINGS}
        self._h2.local_settings = Settings(client=False, initial_values=before)
        self._h2.initiate_connection()
        # h2 enforces what it announces from the first byte. A client cannot know it before it has read it, so the
        # announced values go out in a frame of our own and bind the client from its acknowledgement on.
        self._h2.clear_outbound_data_buffer()
        for code, value in announced.items():
            self._h2.local_settings[code] = value
        self._wire += SettingsFrame(0, settings={int(code): value for code, value in announced.items()}).serialize()
        self._flush()

    def _receive(self) -> bytes:
        idle_s = self._service.state.behaviour.apns_idle_timeout_s
        data: bytes | None = None
        with gevent.Timeout(idle_s, False):
            data = self._sock.recv(READ_SIZE)
        if data is None:
            self.go_away("IdleTimeout")
            self._flush()
        return data or b""

    def _take(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            log.info("apns_connection_broken", connection=self._number, error=type(error).__name__)
            self._h2.clear_outbound_data_buffer()
            self.go_away(str(error), error_code=int(error.error_code))
            self._is_open = False
            return
        for event in events:
            self._handle(event)

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream_id), headers=headers):
                if stream_id <= self._last_stream_id:
                    self._count("streams")
                    self._incoming[stream_id] = Incoming([(_text(n), _text(v)) for n, v in headers or ()])
            case DataReceived(stream_id=int(stream_id), data=data, flow_controlled_length=int(length)):
                incoming = self._incoming.get(stream_id)
                if incoming is not None and len(incoming.body) <= BODY_KEPT:
                    incoming.body += data or b""
                if self._service.state.behaviour.apns_window_updates:
                    self._h2.acknowledge_received_data(length, stream_id)
                else:
                    self._withheld.append((length, stream_id))
            case StreamEnded(stream_id=int(stream_id)):
                if (complete := self._incoming.pop(stream_id, None)) is not None:
                    self._complete(stream_id, ApnsRequest.of(complete.fields, bytes(complete.body)))
            case StreamReset(stream_id=int(stream_id)):
                self._forget(stream_id)
            case WindowUpdated() | RemoteSettingsChanged():
                for stream_id in list(self._unsent):
                    self._pump(stream_id)
            case PingAckReceived():
                self._ping_answered.set()
            case ConnectionTerminated():
                self._is_open = False
            case _:
                # PING and SETTINGS are answered by h2 itself; what else there is needs no answer.
                return

    def _complete(self, stream_id: int, request: ApnsRequest) -> None:
        if not self._is_open or stream_id > self._last_stream_id:
            return
        answer = self._service.judge(request, self._credential)
        self._is_trusted = self._is_trusted or bool(answer.sender)
        self._is_narrow = answer.status not in (200, 201, 204)
        self._offer()
        if answer.fault.delay_s:
            self._delayed[stream_id] = gevent.spawn_later(
                answer.fault.delay_s, self._answer_late, stream_id, request, answer
            )
        else:
            self._carry_out(stream_id, request, answer)

    def _answer_late(self, stream_id: int, request: ApnsRequest, answer: ApnsAnswer) -> None:
        self._delayed.pop(stream_id, None)
        try:
            self._carry_out(stream_id, request, answer)
            self._flush()
        except OSError:
            self.close()
            return
        if self._is_leaving() and not (self._incoming or self._delayed or self._unsent):
            self.close()

    def _carry_out(self, stream_id: int, request: ApnsRequest, answer: ApnsAnswer) -> None:
        fault = answer.fault
        is_answered = fault.action == "answer"
        self._service.record(
            request, answer, status=answer.status if is_answered else 0, connection=self._number, stream=stream_id
        )
        match fault.action:
            case "goaway":
                if fault.graceful:
                    self.go_away(fault.reason or "Shutdown", last_stream_id=LAST_STREAM)
                last = stream_id - 2 if fault.last_stream_id is None else fault.last_stream_id
                self.go_away(fault.reason or "Shutdown", last_stream_id=max(0, last))
            case "reset":
                with suppress(ProtocolError):  # the client may have reset it already
                    self._h2.reset_stream(stream_id, fault.error_code)
            case "close":
                self.close(abruptly=True)
            case "answer":
                self._reply(stream_id, answer)
                self._count_error(answer)
            case "ignore":
                log.debug("apns_request_ignored", connection=self._number, stream=stream_id)

    def _reply(self, stream_id: int, answer: ApnsAnswer) -> None:
        data = chunks(answer.body(), answer.fault.data)
        self._wire += self._h2.data_to_send()
        try:
            self._h2.send_headers(stream_id, self._service.headers(answer), end_stream=not data)
        except ProtocolError:
            # The client has reset the stream in the meantime.
            self._forget(stream_id)
            return
        if answer.fault.header_frames == "continuation":
            self._wire += continued(self._h2.data_to_send())
        if data and answer.fault.slow_s:
            parts = pieces(b"".join(data), answer.fault.slow_s)
            self._delayed[stream_id] = gevent.spawn(self._trickle, stream_id, parts)
        elif data:
            self._unsent[stream_id] = deque(data)
            self._pump(stream_id)

    def _trickle(self, stream_id: int, parts: list[tuple[bytes, float]]) -> None:
        """A body in small DATA frames with pauses between them."""
        try:
            for number, (part, pause_s) in enumerate(parts, start=1):
                gevent.sleep(pause_s)
                self._h2.send_data(stream_id, part, end_stream=number == len(parts))
                self._flush()
        except (ProtocolError, OSError):
            log.debug("apns_stream_gone", connection=self._number, stream=stream_id)
        finally:
            self._delayed.pop(stream_id, None)

    def _count_error(self, answer: ApnsAnswer) -> None:
        """Apple: too many errors end a connection, BadDeviceToken sooner than others, 410 not at all."""
        limit = self._service.state.behaviour.apns_errors_before_disconnect
        if answer.status < 400 or answer.status == 410:
            return
        self._errors += BAD_TOKEN_WEIGHT if answer.reason == "BadDeviceToken" else 1
        if 0 < limit <= self._errors and not self._is_leaving():
            self._count("disconnects_for_errors")
            self.go_away(answer.reason)

    def _pump(self, stream_id: int) -> None:
        """Send what the client's flow control windows admit of an answer's body."""
        chunks = self._unsent[stream_id]
        try:
            while chunks and len(chunks[0]) <= self._h2.local_flow_control_window(stream_id):
                chunk = chunks.popleft()
                self._h2.send_data(stream_id, chunk, end_stream=not chunks)
        except ProtocolError:
            chunks.clear()
        if not chunks:
            del self._unsent[stream_id]

    def _forget(self, stream_id: int) -> None:
        self._incoming.pop(stream_id, None)
        self._unsent.pop(stream_id, None)
        if (greenlet := self._delayed.pop(stream_id, None)) is not None:
            greenlet.kill(block=False)

    def _streams_to_offer(self) -> int:
        """One until the first valid provider token, then the full number (seen of APNs, not documented)."""
        behaviour = self._service.state.behaviour
        is_narrow = behaviour.apns_narrow_after_refusal and self._is_narrow
        return behaviour.apns_max_concurrent_streams if self._is_trusted and not is_narrow else 1

    def _offer(self) -> None:
        """Tell the client of settings that are not what it was told before."""
        streams, window = self._streams_to_offer(), self._service.state.behaviour.apns_initial_window_size
        changes: dict[SettingCodes | int, int] = {}
        if streams != self._offered_streams:
            self._offered_streams = changes[SettingCodes.MAX_CONCURRENT_STREAMS] = streams
        if window != self._offered_window:
            self._offered_window = changes[SettingCodes.INITIAL_WINDOW_SIZE] = window
        if changes:
            self._h2.update_settings(changes)

    def _is_leaving(self) -> bool:
        return self._last_stream_id != LAST_STREAM

    def _flush(self) -> None:
        with self._sending:
            while (self._is_open or self._wire) and not self._service.state.behaviour.apns_frozen:
                self._wire += self._h2.data_to_send()
                if not self._wire:
                    return
                data, self._wire = bytes(self._wire), bytearray()
                with gevent.Timeout(SEND_TIMEOUT_S, TimeoutError("the client does not read")):
                    self._sock.sendall(data)

    def _count(self, what: str) -> None:
        self._service.state.record.counters[f"apns_{what}"] += 1


def _text(value: bytes | str) -> str:
    # Latin-1 never fails: what is wrong in a header is for the checks to say, not for the decoder.
    return value.decode("latin-1") if isinstance(value, bytes) else value
