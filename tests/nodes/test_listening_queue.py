"""What waits in the queue of a listening socket is served, not reset, when the process stops listening."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from gateway.transports.listener import Listener
from gateway.transports.wire import Wire
from tests.support.processes import free_ports


def greet(wire: Wire) -> None:
    wire.write(b"hello")


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    (port,) = free_ports(1)
    made = [Listener([f"127.0.0.1:{port}"], greet) for _ in range(2)]
    yield made
    for one in made:
        one.stop_accepting()


def connected(listener: Listener, count: int) -> list[Any]:
    port = int(listener.addresses[0].rpartition(":")[2])
    return [gevent.socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(count)]


def answers(clients: list[Any]) -> list[bytes]:
    found = [client.recv(100) for client in clients]
    for client in clients:
        client.close()
    return found


def test_who_waits_to_be_accepted_is_served_by_a_process_that_stops_listening(listeners: list[Listener]) -> None:
    busy, other = listeners
    busy.start()
    gevent.killall(busy._acceptors)  # too busy to accept
    other.start()
    clients = connected(other, 40)
    busy.stop_accepting()

    assert [b"hello"] * 40 == answers(clients)


def test_new_connections_go_to_those_that_still_listen(listeners: list[Listener]) -> None:
    for one in listeners:
        one.start()
    listeners[0].stop_accepting()

    assert [b"hello"] * 20 == answers(connected(listeners[1], 20))
