"""Ports of one's own on this machine, and TLS in front of servers that have none."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
from gevent.server import StreamServer

FRONT = "127.0.0.2"
"""where TLS ends"""


def tls_before(port: int, certificate: Path, key: Path) -> StreamServer:
    """Hands on what comes to the same port of the node itself."""

    def carry(source: Any, sink: Any) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                socket.socket.shutdown(end, socket.SHUT_RDWR)

    def serve(client: Any, _peer: Any) -> None:
        try:
            node = socket.create_connection(("127.0.0.1", port))
        except OSError:
            return
        gevent.joinall([gevent.spawn(carry, client, node), gevent.spawn(carry, node, client)])
        node.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    front = StreamServer((FRONT, port), serve, ssl_context=context)
    front.start()
    return front


@contextmanager
def lasting_ports(count: int) -> Iterator[list[int]]:
    """Ports that nobody has, below those that the system gives to connections: they stay free while a node is dead."""
    probes: list[socket.socket] = []
    try:
        while len(probes) < count:
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", random.randrange(11_000, 32_000)))
            except OSError:
                probe.close()
            else:
                probes.append(probe)
        yield [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
