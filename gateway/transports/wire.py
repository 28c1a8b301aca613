"""One socket: bytes in, bytes out, TLS in between. Writing never blocks, neither the hub nor the caller."""

import socket as std_socket
import ssl
from collections.abc import Callable
from typing import Any

import gevent
import gevent.socket
from gevent.timeout import Timeout

from gateway.errors import WakegateError
from gateway.limits.visit import Visit
from gateway.telemetry import get_logger
from gateway.transports.channel_binding import channel_bindings
from gateway.transports.tls import ServerContext, TlsInfo

log = get_logger(__name__)

_RECORD = 16384
"""RFC 8446 §5.1: bytes that one TLS record carries. What OpenSSL could not send has to be offered again record by
record."""

_BURST = 262144
"""Bytes written without a look at other greenlets. A client whose socket takes more waits for its turn."""

_READS_IN_A_ROW = 32
"""Reads that found bytes at once before others have their turn: a flood must not starve them."""

_DISCARDED_AT_MOST = 1 << 20
"""Bytes read and dropped behind our last byte, so that they cannot turn it into a reset (see `Wire.close`)."""


class HandshakeFailed(WakegateError):
    """TLS was not agreed on; the wire is closed."""

    metric = "tls_handshake"


class Wire:
    """A connected gevent socket with one logical writer.

    `write` hands the socket what it takes at once; a greenlet that exists only while bytes are stuck sends the rest.
    If the peer takes nothing for `write_timeout_s` seconds the wire is closed.

    peer:       who is at the other end, for the log.
    tls:        what the handshake agreed on, None before it.
    reason:     why the wire closed, "" while it is open.
    visit:      the connection as the limits see it, None if nothing limits it.
    on_drained: called whenever a write has brought the backlog to 0, at once or later, at most once for each write.
    It may
                write: what it writes is reported again after it returned, not from inside.
    """

    __slots__ = (
        "_closing",
        "_flusher",
        "_has_eof",
        "_is_ending",
        "_is_gone",
        "_is_notifying",
        "_is_shaking_hands",
        "_pending",
        "_reads",
        "_retry",
        "_sock",
        "_tls_object",
        "_was_drained",
        "_write_timeout_s",
        "on_drained",
        "peer",
        "reason",
        "tls",
        "visit",
    )

    def __init__(self, sock: gevent.socket.socket, peer: str, *, write_timeout_s: float = 60) -> None:
        self.peer = peer
        self.tls: TlsInfo | None = None
        self.reason = ""
        self.on_drained: Callable[[], None] | None = None
        self.visit: Visit | None = None
        self._sock: Any = sock
        self._tls_object: Any = None
        self._pending: bytearray | None = None
        self._retry = 0
        self._reads = 0
        self._flusher: gevent.Greenlet | None = None
        self._closing: gevent.Greenlet | None = None
        self._has_eof = False
        self._is_ending = False
        self._is_gone = False
        self._is_shaking_hands = False
        self._is_notifying = False
        self._was_drained = False
        self._write_timeout_s = write_timeout_s

    @property
    def backlog(self) -> int:
        """Bytes written and not yet taken by the socket."""
        return len(self._pending) if self._pending else 0

    @property
    def closed(self) -> bool:
        """Whether the wire reads and writes no more: closed, aborted, reset, or timed out."""
        return self._is_ending

    def read(self, size: int = 16384, *, timeout_s: float | None = None) -> bytes:
        """The next bytes, up to `size`; b"" at the end of the stream and when the wire was closed or reset.

        Raises TimeoutError if nothing came for `timeout_s` seconds. One greenlet reads at a time.
        """
        self._reads += 1
        if self._reads >= _READS_IN_A_ROW:
            self._reads = 0
            gevent.sleep(0)
        if self._is_ending or self._has_eof:
            return b""
        sock = self._sock
        sock.settimeout(timeout_s)
        try:
            data: bytes = sock.recv(size)
        except TimeoutError:
            if self.closed:
                return b""
            raise
        except (OSError, ValueError) as exc:  # ValueError: the TLS socket was closed while it waited
            if not self.closed:
                self._lose(exc)
            return b""
        self._has_eof = not data
        return b"" if self.closed else data

    def write(self, data: bytes) -> None:
        """Send `data` behind what was written before. Never waits; does nothing on a closed wire."""
        if self._is_ending or not data:
            return
        if self._pending is not None:
            self._pending += data
            return
        if self._is_shaking_hands:
            self._pending = bytearray(data)
            return
        try:
            taken = self._send(memoryview(data))
        except OSError as exc:
            self._lose(exc)
            return
        if taken < len(data):
            self._pending = bytearray(memoryview(data)[taken:])
            self._flusher = gevent.spawn(self._flush)
        else:
            self._drained()

    def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_hostname: str | None = None,
        timeout_s: float = 20,
    ) -> None:
        """Take the handshake, within `timeout_s` seconds in all, after everything written before has left.

        Nobody else reads meanwhile; what is written meanwhile goes out after it, inside TLS. Raises HandshakeFailed,
        and then the wire is closed.
        """
        try:
            with Timeout(timeout_s, TimeoutError(f"no handshake within {timeout_s} s")):
                self._shake_hands(context, server_side, server_hostname)
        except (OSError, ValueError) as exc:
            text = str(getattr(exc, "reason", None) or exc)
            self.abort(reason=f"TLS handshake: {text}")
            raise HandshakeFailed(text) from exc
        self.tls = self._agreed(context)
        self._is_shaking_hands = False
        if self._pending:
            self._flusher = gevent.spawn(self._flush)

    def close(self, flush_s: float = 1.0, *, reason: str = "closed") -> None:
        """End the wire: what is in the backlog is sent if the peer takes it within `flush_s` seconds, then the stream
        ends.

        Returns at once, may be called from any greenlet and more than once; a blocked `read` returns b"". Behind our
        last byte the peer's are read and dropped until it closes too, within the same time: to close a socket that
        holds unread bytes is to reset the connection, and that would take the last thing we said (a stream error)
        from the peer.
        """
        if self._is_ending:
            return
        self._is_ending = True
        self.reason = reason
        if self._is_shaking_hands or flush_s <= 0:
            self.abort()
            return
        gevent.socket.cancel_wait(self._sock._read_event)
        self._closing = gevent.spawn(self._wind_down, flush_s)

    def abort(self, *, reason: str = "aborted") -> None:
        """End the wire at once; what is in the backlog is lost."""
        self._is_ending = True
        self.reason = self.reason or reason
        if not self._is_gone:
            self._is_gone = True
            self._pending = None
            self._tls_object = None
            self._sock.close()

    def wait_closed(self) -> None:
        """After `close`: wait until the socket is closed, no longer than its `flush_s`."""
        if self._closing is not None:
            self._closing.join()

    def _send(self, data: memoryview) -> int:
        """How many bytes of `data` the socket took without waiting. Raises OSError."""
        try:
            if self._tls_object is None:
                return int(self._sock.send(data[:_BURST], 0, 0.0))
        except BlockingIOError:
            return 0
        taken = 0
        try:
            while taken < len(data) and taken < _BURST:
                size = self._retry or _RECORD
                self._retry = 0
                self._retry = len(record := data[taken : taken + size])
                taken += self._tls_object.write(record)
                self._retry = 0
        except ssl.SSLWantWriteError:
            return taken
        return taken

    def _flush(self) -> None:
        """The greenlet that lives while bytes are stuck."""
        try:
            self._send_pending()
        except TimeoutError:
            self.abort(reason=f"the peer took nothing for {self._write_timeout_s} s")
        except OSError as exc:
            self._lose(exc)
        self._pending = None
        self._flusher = None
        try:
            self._drained()
        except Exception:  # top of a greenlet: a broken callback must not leave a session half dead
            log.exception("wire_callback_failed", peer=self.peer)
            self.abort(reason="internal error")

    def _send_pending(self) -> None:
        while self._pending:
            gevent.socket.wait_write(self._sock.fileno(), self._write_timeout_s)
            if not self._pending:  # aborted meanwhile
                return
            with memoryview(self._pending) as view:
                taken = self._send(view)
            del self._pending[:taken]

    def _drained(self) -> None:
        if self.on_drained is None or self._is_ending:
            return
        self._was_drained = True
        if self._is_notifying:
            return
        self._is_notifying = True
        try:
            while self._was_drained and not self._is_ending:
                self._was_drained = False
                self.on_drained()
        finally:
            self._is_notifying = False

    def _shake_hands(self, context: ssl.SSLContext, server_side: bool, server_hostname: str | None) -> None:
        while self._flusher is not None and not self._is_ending:
            self._flusher.join()
        if self._is_ending:
            raise ConnectionError(self.reason)
        self._is_shaking_hands = True
        self._sock.settimeout(None)
        self._sock = context.wrap_socket(
            self._sock, server_side=server_side, do_handshake_on_connect=False, server_hostname=server_hostname
        )
        self._sock.do_handshake()
        if self._is_ending:
            raise ConnectionError(self.reason)
        self._tls_object = self._sock._sslobj

    def _agreed(self, context: ssl.SSLContext) -> TlsInfo:
        sock = self._sock
        if isinstance(context, ServerContext):
            bindings = channel_bindings(sock, context.certificate_der, context.exporter)
        else:
            bindings = channel_bindings(sock, sock.getpeercert(binary_form=True), None)
        return TlsInfo(sock.version(), sock.cipher()[0], bindings)

    def _lose(self, exc: Exception) -> None:
        """The connection failed by itself, or because it was closed while a greenlet waited."""
        self.abort(reason=getattr(exc, "strerror", None) or str(exc))

    def _wind_down(self, flush_s: float) -> None:
        """The greenlet that ends a closed wire."""
        with Timeout(flush_s, False):
            try:
                while self._pending and self._flusher is not None:
                    self._flusher.join()
                self._say_goodbye()
            except OSError:
                log.debug("wire_end_not_clean", peer=self.peer)
        self.abort()

    def _say_goodbye(self) -> None:
        if self._is_gone:
            return
        if self._tls_object is not None:
            try:
                self._tls_object.shutdown()
            except ssl.SSLError:  # our close_notify is out, or cannot be; the peer's is not waited for
                log.debug("close_notify_not_answered", peer=self.peer)
            self._tls_object = None
        self._sock.shutdown(std_socket.SHUT_WR)  # from here on a gevent TLS socket reads what comes, as it comes
        self._sock.settimeout(None)
        discarded = 0
        while not self._has_eof and discarded < _DISCARDED_AT_MOST:
            dropped = len(self._sock.recv(65536))
            discarded += dropped
            self._has_eof = not dropped
