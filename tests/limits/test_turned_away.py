"""Connections that a listener does not serve, over real sockets."""

from __future__ import annotations

from collections.abc import Sequence

import gevent
import pytest

from gateway.limits.hits import Hits
from gateway.limits.process import Limits, TurnedAway
from gateway.limits.queue import LoginQueue
from gateway.sections import LimitSettings
from gateway.session.stream import farewell
from gateway.transports.listener import Listener
from gateway.transports.proxy_protocol import Proxies
from gateway.transports.wire import Wire
from tests.unit.transports.pairs import connect, wait_until


def never() -> bool:
    gevent.sleep(60)
    return False


def echo(wire: Wire) -> None:
    while data := wire.read(timeout_s=20):
        wire.write(data)


class House:
    """`queue`: whether anybody's turn ever comes."""

    def __init__(
        self,
        *,
        queue: LoginQueue | None = None,
        other: str = "",
        most: int = 100,
        proxies: Sequence[str] = (),
        **settings: object,
    ) -> None:
        chosen = LimitSettings(unlimited_addresses=[], **settings)  # type: ignore[arg-type]
        self.hits = Hits()
        self.limits = Limits(chosen, hits=self.hits, queue=queue)
        self.listener = Listener(
            ["127.0.0.1:0"],
            echo,
            max_connections=most,
            limits=self.limits,
            proxies=Proxies(proxies),
            farewell=lambda away: farewell(away, domain="localhost", stream_id="s", see_other_host=other),
        )

    def __enter__(self) -> House:
        self.listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.stop_accepting()
        for wire in list(self.listener.wires):
            wire.abort()
        wait_until(lambda: not self.listener.wires)

    def heard(self) -> bytes:
        """All that a new client is told until its connection ends."""
        with connect(self.listener) as sock:
            sock.sendall(b"<?xml version='1.0'?><stream:stream>")
            return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_full_gateway_says_so() -> None:
    with House(most=1) as house, connect(house.listener):
        wait_until(lambda: len(house.listener.wires) == 1)
        heard = house.heard()

    assert b"<stream:error><resource-constraint " in heard
    assert heard.endswith(b"</stream:stream>")
    assert {"connections": {"refused": 1}} == house.hits.to_json()


def test_a_full_gateway_sends_clients_to_another_if_it_knows_one() -> None:
    with House(most=1, other="two.example:5222") as house, connect(house.listener):
        wait_until(lambda: len(house.listener.wires) == 1)

        assert b">two.example:5222</see-other-host></stream:error>" in house.heard()


def test_whose_turn_does_not_come_in_time_is_told_to_come_later() -> None:
    with House(queue=LoginQueue(never), login_queue_time=0.1) as house:
        heard = house.heard()
        wait_until(lambda: not house.listener.wires)

    assert b"<stream:error><resource-constraint " in heard
    assert {"login-queue": {"refused": 1}} == house.hits.to_json()
    assert (0, 0) == (house.limits.connections, len(house.limits.queue))


def test_own_tools_wait_for_their_turn_however_long_that_takes() -> None:
    with House(queue=LoginQueue(never), login_queue_time=0.1) as house:
        visit = house.limits.enter("127.0.0.1")
        visit.is_unlimited = True
        waiting = gevent.spawn(visit.wait_turn)
        gevent.sleep(0.3)

        assert not waiting.ready()
        waiting.kill()


def test_who_is_served_is_counted_until_the_connection_ends() -> None:
    with House() as house:
        with connect(house.listener) as sock:
            sock.sendall(b"hello")
            assert b"hello" == sock.recv(100)
            assert 1 == house.limits.connections
        wait_until(lambda: house.limits.connections == 0)

    assert 0 == house.limits.unauthenticated


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_farewell_is_a_whole_stream(is_busy: bool) -> None:
    said = farewell(TurnedAway("no <room>", is_busy=is_busy), domain="localhost", stream_id="s")
    condition = b"resource-constraint" if is_busy else b"policy-violation"

    assert said.startswith(b"<?xml version='1.0'?><stream:stream ")
    assert b"<stream:error><" + condition in said
    assert b"no &lt;room&gt;" in said
    assert said.endswith(b"</stream:error></stream:stream>")
