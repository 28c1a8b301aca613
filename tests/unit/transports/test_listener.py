"""Listeners over real sockets: what strangers do stays their own affair."""

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import gevent
import gevent.event
import pytest

from gateway.settings import ConfigError
from gateway.transports.listener import Listener, parse_address
from gateway.transports.wire import Wire
from tests.unit.transports.pairs import connect, contexts, listening, read_exactly, wait_until


def echo(wire: Wire) -> None:
    """Send back what comes, to the end of the stream."""
    while data := wire.read(timeout_s=20):
        wire.write(data)


def answer_of(listener: Listener, data: bytes = b"hello") -> bytes:
    with connect(listener) as sock:
        sock.sendall(data)
        answer: bytes = sock.recv(100)
    return answer


@contextlib.contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """A process that may open so many descriptors more, and no other."""
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + count + 1, former[1]))
    fillers = []
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        for _ in range(count):
            os.close(fillers.pop())
        yield
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, former)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:5222", ("127.0.0.1", 5222)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:5222", ("::1", 5222)),
        ("[0:0::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_is_read(text: str, parsed: tuple[str, int]) -> None:
    assert parsed == parse_address(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not an address"),
        ("5222", "is not an address"),
        (":5222", "is not an address"),
        ("localhost:", "the port is a number"),
        ("localhost:xmpp", "the port is a number"),
        ("localhost:65536", "the port is a number"),
        ("localhost:-1", "the port is a number"),
        ("localhost:٣", "the port is a number"),
        ("::1:5222", "stands in brackets"),
        ("[::g]:5222", "is not an IPv6 address"),
        ("[127.0.0.1]:5222", "is not an IPv6 address"),
    ],
)
def test_a_bad_address_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Listener([text], echo)


def test_a_connection_is_served_and_its_wire_closed_at_the_end() -> None:
    with listening(echo) as listener:
        answer = answer_of(listener)
        wait_until(lambda: not listener.wires)

        assert b"hello" == answer


def test_the_handler_knows_its_peer() -> None:
    with listening(lambda wire: wire.write(wire.peer.encode())) as listener, connect(listener) as sock:
        mine = f"127.0.0.1:{sock.getsockname()[1]}".encode()

        assert mine == sock.recv(100)


def test_a_connection_has_no_delay() -> None:
    flags: list[int] = []

    def look(wire: Wire) -> None:
        flags.append(wire._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    with listening(look) as listener, connect(listener):
        wait_until(lambda: flags)

        assert flags[0]


def test_a_handler_that_raises_ends_its_own_connection_only(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(wire: Wire) -> None:
        if wire.read(timeout_s=20) == b"bad":
            raise RuntimeError("broken")
        wire.write(b"good")

    with listening(handle) as listener:
        assert (b"", b"good") == (answer_of(listener, b"bad"), answer_of(listener, b"x"))


def test_two_processes_may_share_a_port() -> None:
    with listening(echo) as first:
        second = Listener(first.addresses, echo)
        second.start()
        addresses = second.addresses
        second.stop_accepting()

        assert first.addresses == addresses


def test_a_port_that_somebody_else_has_is_a_clear_error() -> None:
    with listening(echo) as other:
        listener = Listener(["127.0.0.1:0", *other.addresses], echo, reuse_port=False)
        with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
            listener.start()

        assert [] == listener.addresses


def test_a_host_that_does_not_exist_is_a_clear_error() -> None:
    for address in ("256.256.256.256:0", f"{'a' * 64}:0"):
        with pytest.raises(ConfigError, match="cannot listen on"):
            Listener([address], echo).start()


@pytest.mark.skipif(not socket.has_ipv6, reason="IPv6 is compiled out")
def test_ipv6_is_listened_on() -> None:
    listener = Listener(["[::1]:0"], echo)
    try:
        listener.start()
    except ConfigError as exc:
        pytest.skip(f"no IPv6 loopback here: {exc}")
    assert listener.addresses[0].startswith("[::1]:")
    answer = answer_of(listener)
    listener.stop_accepting()

    assert b"hello" == answer


def test_after_stop_accepting_connections_that_are_there_go_on() -> None:
    with listening(echo) as listener, connect(listener) as sock:
        sock.sendall(b"one")
        assert b"one" == sock.recv(100)
        address = parse_address(listener.addresses[0])
        listener.stop_accepting()
        sock.sendall(b"two")

        assert b"two" == sock.recv(100)
        with pytest.raises(ConnectionRefusedError):
            gevent.socket.create_connection(address, timeout=20)


def test_one_connection_too_many_is_closed_at_once_until_there_is_room() -> None:
    with listening(echo, max_connections=2) as listener:
        with connect(listener) as one, connect(listener) as two:
            one.sendall(b"1")
            two.sendall(b"2")
            assert (b"1", b"2") == (one.recv(10), two.recv(10))
            with connect(listener) as third:
                assert b"" == third.recv(10)
        wait_until(lambda: not listener.wires)

        assert b"hello" == answer_of(listener)


def test_running_out_of_descriptors_does_not_end_the_listener(caplog: pytest.LogCaptureFixture) -> None:
    with listening(echo) as listener:
        assert b"hello" == answer_of(listener)
        wait_until(lambda: not listener.wires)
        held = []
        with descriptors_left(5):  # two connections have one at each end, the third at ours only
            for _ in range(3):
                held.append(connect(listener))
                wait_until(lambda: len(listener.wires) == len(held) or "accept_failed" in caplog.text)
            assert "accept_failed" in caplog.text
        held[2].sendall(b"patience")

        assert b"patience" == held[2].recv(100)
        for sock in held:
            sock.close()


def test_direct_tls_is_served_with_and_without_alpn(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    _, silent = contexts(tmp_path)
    silent.set_alpn_protocols([])
    spoken = []
    with listening(echo, direct_tls=server) as listener:
        for context in (client, silent):
            with context.wrap_socket(connect(listener), server_hostname="localhost") as sock:
                sock.sendall(b"hello")
                assert b"hello" == sock.recv(10)
                spoken.append(sock.selected_alpn_protocol())

    assert ["xmpp-client", None] == spoken


def test_a_flood_of_half_open_handshakes_does_not_keep_others_out(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    with listening(echo, direct_tls=server) as listener:
        flood = [connect(listener) for _ in range(100)]
        wait_until(lambda: len(listener.wires) == 100)
        with client.wrap_socket(connect(listener), server_hostname="localhost") as sock:
            sock.sendall(b"hello")
            answer = sock.recv(10)
        for half_open in flood:
            half_open.close()

    assert b"hello" == answer


def test_a_half_open_handshake_is_given_up_in_time(tmp_path: Path) -> None:
    server, _ = contexts(tmp_path)
    with listening(echo, direct_tls=server, handshake_timeout_s=0.05) as listener, connect(listener) as sock:
        assert b"" == sock.recv(10)


def test_a_flood_of_connections_lets_those_that_are_there_work() -> None:
    with listening(echo) as listener, connect(listener) as sock:
        flood = [connect(listener) for _ in range(200)]
        sock.sendall(b"still here?")

        assert b"still here?" == sock.recv(100)
        for each in flood:
            each.close()


def test_a_wire_of_a_listener_carries_much_through_direct_tls(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    much = os.urandom(1 << 20)
    with listening(echo, direct_tls=server) as listener:
        wire = Wire(connect(listener), "server")
        wire.start_tls(client, server_side=False, server_hostname="localhost")
        wire.write(much)
        answer = read_exactly(wire, len(much))
        wire.close()

        assert much == answer
