"""Nobody takes Redis' place on the network, and nobody else gets into the one of this machine."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import gevent
import pytest

from gateway.mailbox.dial import Address, Tls, ask, dial
from gateway.mailbox.embedded import EmbeddedServer, socket_path
from gateway.mailbox.errors import StoreUnavailable
from gateway.transports.self_signed import self_signed


@contextmanager
def a_redis(certificate: Path, key: Path) -> Iterator[int]:
    """Whoever listens there shows this certificate, and answers PONG. Gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve() -> None:
        while True:
            connection, _ = listening.accept()
            with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as secured:
                while secured.recv(1000):
                    secured.sendall(b"+PONG\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        greenlet = gevent.spawn(serve)
        yield listening.getsockname()[1]
        greenlet.kill()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("ours"), ["localhost"])


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("theirs"), ["localhost"])


def test_a_redis_with_a_certificate_that_we_trust_is_spoken_to(ours: tuple[Path, Path]) -> None:
    with a_redis(*ours) as port:
        connection = dial(Address(host="localhost", port=port, tls=Tls(ca_file=str(ours[0]))), 10)

        assert b"PONG" == ask(connection, "PING")
        connection.close()


def test_nobody_else_is_told_our_password(ours: tuple[Path, Path], theirs: tuple[Path, Path]) -> None:
    with a_redis(*theirs) as port:
        for host, tls in (
            ("localhost", Tls(ca_file=str(ours[0]))),
            ("localhost", Tls()),
            ("127.0.0.1", Tls(ca_file=str(theirs[0]))),
        ):
            with pytest.raises(StoreUnavailable, match="certificate"):
                dial(Address(host=host, port=port, password="pencil", tls=tls), 10)


def test_the_embedded_redis_listens_nowhere_but_in_a_directory_of_its_owners(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    try:
        connection = dial(Address(path=str(socket_path(tmp_path))), 10)
        port = ask(connection, "CONFIG", "GET", "port")
        connection.close()
        modes = [path.stat().st_mode & 0o077 for path in (socket_path(tmp_path), socket_path(tmp_path).parent)]
    finally:
        server.stop()

    assert [b"port", b"0"] == list(port)
    assert [0, 0] == modes
