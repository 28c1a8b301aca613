"""Connected wires over real sockets, and servers that last as long as a `with` block."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import gevent.socket

from gateway.transports.listener import Listener, parse_address
from gateway.transports.self_signed import self_signed
from gateway.transports.tls import ServerContext, client_context, server_context
from gateway.transports.wire import Wire


def wait_until(is_true: Callable[[], object], *, within_s: float = 20) -> None:
    """Let other greenlets work until the condition holds."""
    with gevent.Timeout(within_s, AssertionError("the condition never came true")):
        while not is_true():
            gevent.sleep(0.001)


@contextlib.contextmanager
def small_pair(*, write_timeout_s: float = 20) -> Iterator[tuple[Wire, Wire]]:
    """Two ends of a TCP connection whose kernel buffers are small, so that they fill up soon."""
    with gevent.socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        client = gevent.socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        client.connect(listening.getsockname())
        server, _ = listening.accept()
    near = Wire(client, "near", write_timeout_s=write_timeout_s)
    far = Wire(server, "far", write_timeout_s=write_timeout_s)
    try:
        yield near, far
    finally:
        near.abort()
        far.abort()


def contexts(directory: Path) -> tuple[ServerContext, ssl.SSLContext]:
    """A server's context with a self-signed certificate for localhost, and one of a client that trusts it."""
    certificate, key = self_signed(directory, ["localhost"])
    return server_context(certificate, key), client_context(certificate)


def take_tls(server: Wire, client: Wire, context: ServerContext, trusting: ssl.SSLContext) -> None:
    """The handshake, on both ends at once."""
    other = gevent.spawn(server.start_tls, context)
    client.start_tls(trusting, server_side=False, server_hostname="localhost")
    other.get()


@contextlib.contextmanager
def listening(
    handle: Callable[[Wire], None],
    *,
    direct_tls: ssl.SSLContext | None = None,
    max_connections: int = 1000,
    handshake_timeout_s: float = 20,
) -> Iterator[Listener]:
    """A listener on a free port."""
    listener = Listener(
        ["127.0.0.1:0"],
        handle,
        direct_tls=direct_tls,
        max_connections=max_connections,
        handshake_timeout_s=handshake_timeout_s,
    )
    listener.start()
    try:
        yield listener
    finally:
        listener.stop_accepting()
        for wire in list(listener.wires):
            wire.abort()
        wait_until(lambda: not listener.wires)


def connect(listener: Listener) -> gevent.socket.socket:
    """A plain connection to the listener's first address."""
    return gevent.socket.create_connection(parse_address(listener.addresses[0]), timeout=20)


def read_exactly(wire: Wire, size: int) -> bytes:
    """Read until `size` bytes are there or the stream ends."""
    data = bytearray()
    while len(data) < size and (piece := wire.read(timeout_s=20)):
        data += piece
    return bytes(data)
