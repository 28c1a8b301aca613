"""The bad network of scripts/chaos: what each fault does to a link, seen from both ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent import socket

from scripts.chaos_lab.proxy import Link, Proxy

SHORT_S = 0.2


class Ends:
    """A server that takes connections, and a client whose connection goes through the proxy."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.proxy = Proxy(self._listener.getsockname())
        self.client, self.server = self.connect()

    def connect(self) -> tuple[Any, Any]:
        """One more connection, seen from both ends."""
        client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=5)
        server, _ = self._listener.accept()
        server.settimeout(5)
        return client, server

    def link(self) -> Link:
        """The proxy's side of the first connection."""
        while not self.proxy.links:
            gevent.sleep(0.01)
        return self.proxy.links[0]

    def close(self) -> None:
        """Nothing is left."""
        self.proxy.close()
        for end in (self.client, self.server, self._listener):
            end.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    found = Ends()
    yield found
    found.close()


def is_ended(end: Any) -> bool:
    """It is over for this end."""
    with suppress(ConnectionError):
        return end.recv(100) == b""
    return True


def is_silent(end: Any, seconds: float = SHORT_S) -> bool:
    """Nothing comes."""
    end.settimeout(seconds)
    try:
        end.recv(100)
    except TimeoutError:
        return True
    finally:
        end.settimeout(5)
    return False


def test_what_is_sent_passes_both_ways(ends: Ends) -> None:
    ends.client.sendall(b"up")
    ends.server.sendall(b"down")

    assert (b"up", b"down") == (ends.server.recv(9), ends.client.recv(9))


@pytest.mark.parametrize("fault", ["reset", "close"])
def test_a_cut_is_seen_by_both_ends(ends: Ends, fault: str) -> None:
    ends.link().suffer(fault, 0.0)

    assert is_ended(ends.client)
    assert is_ended(ends.server)


def test_a_freeze_holds_everything_back_and_loses_nothing(ends: Ends) -> None:
    suffering = gevent.spawn(ends.link().suffer, "freeze", 1.0)
    gevent.sleep(0.05)
    ends.client.sendall(b"one ")
    silent = is_silent(ends.server)
    ends.client.sendall(b"two")
    suffering.join()

    assert silent
    assert b"one two" == ends.server.recv(9)


def test_an_end_that_the_server_does_not_see_and_what_came_before_reach_it_late(ends: Ends) -> None:
    suffering = gevent.spawn(ends.link().suffer, "lose-server", 0.8)
    gevent.sleep(0.05)
    ends.client.sendall(b"on its way")
    client_saw = is_ended(ends.client)
    silent = is_silent(ends.server)
    again, server = ends.connect()
    again.sendall(b"newer")
    newer = server.recv(9)
    suffering.join()
    late = ends.server.recv(99)
    for end in (again, server):
        end.close()

    assert (True, True, b"newer") == (client_saw, silent, newer)
    assert b"on its way" == late
    assert is_ended(ends.server)


def test_all_clients_leave_a_server_that_learns_of_it_later(ends: Ends) -> None:
    others = ends.connect()
    ends.link().hurt = True  # by something else: that is left to it
    ends.proxy.lose_all(0.8)
    gevent.sleep(0.05)
    others[0].sendall(b"on its way")
    left = is_ended(others[0])
    silent = is_silent(others[1])
    ends.client.sendall(b"untouched")

    assert (True, True) == (left, silent)
    assert (b"on its way", b"untouched") == (others[1].recv(99), ends.server.recv(99))
    assert is_ended(others[1])
    for end in others:
        end.close()


def test_an_end_that_the_client_does_not_see_reaches_it_late(ends: Ends) -> None:
    suffering = gevent.spawn(ends.link().suffer, "lose-client", 0.8)

    assert is_ended(ends.server)
    assert is_silent(ends.client)
    suffering.join()
    assert is_ended(ends.client)


@pytest.mark.parametrize("fault", ["delay", "trickle"])
def test_a_slow_link_loses_nothing(ends: Ends, fault: str) -> None:
    suffering = gevent.spawn(ends.link().suffer, fault, 0.5)
    gevent.sleep(0.05)
    ends.client.sendall(b"x" * 1000)
    came = b""
    while len(came) < 1000:
        came += ends.server.recv(2000)
    suffering.join()

    assert b"x" * 1000 == came


def test_a_server_that_is_not_there_ends_the_link_at_once(ends: Ends) -> None:
    ends._listener.close()
    client = socket.create_connection(("127.0.0.1", ends.proxy.port), timeout=5)

    assert is_ended(client)
    client.close()
