"""One Redis on loopback that asks who we are; and a line of TLS in front of it, since our binary has no TLS itself."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
import redis
from gevent.server import StreamServer

from gateway.mailbox.embedded import find_server
from gateway.process import dies_with_parent
from tests.support.redis_sentinel import RedisSentinel, free_ports


@contextmanager
def one_server(folder: Path, *lines: str, password: str = "") -> Iterator[int]:
    """Its port. `lines` of configuration; `password` is that of the default user."""
    [port] = free_ports(1)
    configuration = folder / "redis.conf"
    usual = (
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        "save ''",
        *([f"requirepass {password}"] * bool(password)),
    )
    configuration.write_text("\n".join((*usual, *lines)), encoding="utf-8")
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [find_server(), configuration], stdout=log, stderr=log, preexec_fn=dies_with_parent(signal.SIGKILL)
        )
    try:
        RedisSentinel.wait(lambda: _answers(port, password))
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int, password: str) -> bool:
    with redis.Redis(port=port, password=password or None) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


@contextmanager
def behind_tls(port: int, certificate: Path, key: Path, *, client_ca: Path | None = None) -> Iterator[int]:
    """The port of a line of TLS to `port`; clients must show a certificate of `client_ca`, if it is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)

    def serve(client: Any, _address: Any) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(client, server_side=True) as secure,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            up = gevent.spawn(_forward, secure, server)
            _forward(server, secure)
            up.kill()

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    try:
        yield int(server.server_port)
    finally:
        server.stop_accepting()
        gevent.sleep(0.05)  # who was accepted last has a greenlet that has not run yet
        server.stop(timeout=1)


def _forward(source: Any, sink: Any) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
