"""Clients that come through a proxy, which says who they are: each is counted as itself."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.sections import ListenSettings
from gateway.transports.proxy_protocol import SIGNATURE
from tests.limits.test_turned_away import House
from tests.support.processes import running
from tests.unit.transports.pairs import connect, wait_until

GREETING = b"hello\n"


def line(host: str) -> bytes:
    return f"PROXY TCP4 {host} 127.0.0.1 40000 5222\r\n".encode()


def echoed(house: House, ahead: bytes) -> bytes:
    """What a connection is answered that begins like this, and goes on as a client."""
    with connect(house.listener) as sock:
        sock.settimeout(20)
        sock.sendall(ahead + GREETING)
        sock.shutdown(socket.SHUT_WR)
        try:
            return b"".join(iter(lambda: sock.recv(65536), b""))
        except ConnectionResetError:
            return b""


def test_each_client_of_a_proxy_is_counted_as_itself() -> None:
    with (
        House(proxies=["127.0.0.0/8"], max_connections_per_address=1) as house,
        connect(house.listener) as first,
        connect(house.listener) as second,
    ):
        first.sendall(line("192.0.2.7"))
        wait_until(lambda: len(house.listener.wires) == 1)
        second.sendall(line("192.0.2.8"))
        wait_until(lambda: len(house.listener.wires) == 2)
        peers = sorted(wire.peer for wire in house.listener.wires)
        refused = echoed(house, line("192.0.2.7"))

    assert ["192.0.2.7:40000", "192.0.2.8:40000"] == peers
    assert b"<stream:error>" in refused


def test_a_proxy_that_speaks_for_itself_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    with House(proxies=["127.0.0.1"]) as house:
        assert GREETING == echoed(house, SIGNATURE + b"\x20\x00\x00\x00")


def test_what_comes_from_a_proxy_without_saying_whose_it_is_is_not_served() -> None:
    with House(proxies=["127.0.0.1"]) as house:
        assert b"" == echoed(house, b"")


def test_nobody_else_can_say_who_he_is() -> None:
    with House(proxies=["192.0.2.0/24"]) as house:
        assert line("198.51.100.1") + GREETING == echoed(house, line("198.51.100.1"))


def test_connections_that_are_not_introduced_are_bounded_as_others() -> None:
    with House(proxies=["127.0.0.1"], most=2) as house, connect(house.listener), connect(house.listener):
        wait_until(lambda: house.listener.introduced == 2)

        assert b"" == echoed(house, line("192.0.2.7"))


def test_who_may_be_a_proxy_is_checked_with_the_configuration() -> None:
    assert [] == list(ListenSettings(proxy_protocol=["192.0.2.1", "2001:db8::/32"]).faults())
    (fault,) = ListenSettings(proxy_protocol=["haproxy.example"]).faults()

    assert fault.startswith('proxy_protocol: "haproxy.example" is no address or network')


def test_a_gateway_logs_the_client_and_not_the_proxy(tmp_path: Path) -> None:
    with running(tmp_path, settings={"listen": {"proxy_protocol": ["127.0.0.1"]}, "log": {"level": "debug"}}) as server:
        address = server.address()
        with socket.create_connection((address.host, address.port), timeout=20) as sock:
            sock.sendall(line("192.0.2.7") + b"<not-xmpp/>")
            while sock.recv(65536):
                pass
        server.wait(lambda: "192.0.2.7:40000" in server.log(), "the client's address in the log")
