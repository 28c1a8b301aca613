"""One port for HTTP/1.1 and, where it is asked for, HTTP/2 by prior knowledge, and both over TLS by ALPN."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import gevent.ssl
from gevent.pool import Pool
from gevent.server import StreamServer

from gateway.telemetry import get_logger
from workers.sandbox.http import HttpHandler
from workers.sandbox.http2 import Http2Connection
from workers.sandbox.listening import address_of, break_off, is_let_in, listen
from workers.sandbox.wsgi import Http1Server

log = get_logger(__name__)

CONNECTION_LIMIT = 2000
FIRST_BYTES_TIMEOUT_S = 30.0
HANDSHAKE_TIMEOUT_S = 10.0
TLS_HANDSHAKE = 0x16
"""The first byte of TLS: a record of type handshake (RFC 8446 section 5.1)."""

PREFACE = b"PRI"
"""What RFC 9113 section 3.4 lets no HTTP/1.1 client begin with."""


class HttpListener:
    """Serves a handler over HTTP/1.1 with keep-alive.

    With `certificate_file` (PEM: certificate and key) also over TLS on the same port, and with `stream_limit` also over
    HTTP/2, which `count` is told of as "streams" and "goaways". `door` says whether connections are "served",
    "refused" or "hanging".
    """

    def __init__(
        self,
        handler: HttpHandler,
        address: tuple[str, int],
        *,
        count_connection: Callable[[], int],
        certificate_file: Path | None = None,
        stream_limit: Callable[[], int] | None = None,
        count: Callable[[str], None] = lambda what: None,
        door: Callable[[], str] = lambda: "served",
    ) -> None:
        self._handler = handler
        self._address = address
        self._count_connection = count_connection
        self._certificate_file = certificate_file
        self._stream_limit = stream_limit
        self._count = count
        self._door = door
        self._tls: Any = None
        self._server: Any = None
        self._http1 = Http1Server(handler)
        self._open: set[Http2Connection] = set()
        self._plain: set[Any] = set()

    def start(self) -> tuple[str, int]:
        """Listen; returns the address with its real port. Raises OSError."""
        if self._certificate_file is not None:
            self._tls = _context(self._certificate_file, self._stream_limit is not None)
        sock = listen(self._address)
        self._server = StreamServer(sock, self._serve, spawn=Pool(CONNECTION_LIMIT))
        self._server.start()
        return address_of(sock)

    def stop(self) -> None:
        """Stop listening and drop all connections."""
        for connection in list(self._open):
            connection.close()
        if self._server is not None:
            self._server.stop(timeout=0)

    def break_all(self) -> None:
        """Break off all connections by a TCP reset."""
        for connection in list(self._open):
            connection.close(abruptly=True)
        for sock in list(self._plain):
            break_off(sock)

    def retire_all(self, reason: str) -> int:
        """Send GOAWAY on all HTTP/2 connections; returns on how many."""
        connections = list(self._open)
        for connection in connections:
            try:
                connection.retire(reason)
            except OSError:
                connection.close()
        return len(connections)

    def _serve(self, plain: Any, address: tuple[Any, ...]) -> None:
        if not is_let_in(plain, self._door):
            self._count("connections_refused")
            return
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock, is_http2 = self._negotiate(plain)
        except OSError as error:
            log.info("http_handshake_failed", peer=address[0], error=str(error))
            plain.close()
            return
        number = self._count_connection()
        if not is_http2 or self._stream_limit is None:
            self._serve_http1(sock, address, number)
            return
        connection = Http2Connection(sock, self._handler, number, stream_limit=self._stream_limit, count=self._count)
        self._open.add(connection)
        try:
            connection.run()
        finally:
            self._open.discard(connection)

    def _serve_http1(self, sock: Any, address: tuple[Any, ...], number: int) -> None:
        self._plain.add(sock)
        try:
            self._http1.serve(sock, address, number)
        finally:
            self._plain.discard(sock)

    def _negotiate(self, plain: Any) -> tuple[Any, bool]:
        """The socket to talk on, and whether HTTP/2 will be spoken. Raises OSError."""
        if self._tls is None and self._stream_limit is None:
            return plain, False
        with gevent.Timeout(FIRST_BYTES_TIMEOUT_S, TimeoutError("the client says nothing")):
            first = _peek(plain, len(PREFACE))
        if self._tls is None or first[:1] != bytes([TLS_HANDSHAKE]):
            return plain, first == PREFACE
        with gevent.Timeout(HANDSHAKE_TIMEOUT_S, TimeoutError("TLS handshake took too long")):
            sock = self._tls.wrap_socket(plain, server_side=True)
        return sock, sock.selected_alpn_protocol() == "h2"


def _peek(sock: Any, count: int) -> bytes:
    """The first bytes, left in the socket's buffer for who reads them."""
    while True:
        data: bytes = sock.recv(count, socket.MSG_PEEK)
        # Nobody cuts so short a beginning into segments but to annoy: it may wait.
        if not data or len(data) >= count:
            return data
        gevent.sleep(0.02)


def _context(certificate_file: Path, with_http2: bool) -> Any:
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file)
    context.set_alpn_protocols(["h2", "http/1.1"] if with_http2 else ["http/1.1"])
    return context
