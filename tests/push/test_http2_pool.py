"""How many connections there are, and how often one is made: Apple takes many connects for an attack."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer
from h2.settings import SettingCodes

from tests.push.http2_peer import Link, Peer
from tests.push.test_http2 import MakePeer, answer_ok, ask, ask_many, connected, wait_until
from workers.push.http2.connection import ConnectionRules
from workers.push.http2.origin import HTTP1, HTTP2, Origin
from workers.push.http2.pool import MOST_TRIES, Pool, PoolRules
from workers.push.reply import Processed, Reply, Unanswered
from workers.sandbox.material import prepare

__all__ = ["connected"]


class Door:
    """A TLS server that does one thing to each connection, and counts them."""

    def __init__(self, directory: Path, protocol: str, greeting: bytes) -> None:
        material = prepare(directory)
        self.connections = 0
        self._greeting = greeting
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(material.server_file)
        context.set_alpn_protocols([protocol])
        self.server = StreamServer(("127.0.0.1", 0), self._serve, ssl_context=context)
        self.server.start()
        self.origin = Origin("127.0.0.1", self.server.server_port, ca_file=str(material.ca_file), alpn=(HTTP2, HTTP1))

    def _serve(self, sock: Any, _address: object) -> None:
        self.connections += 1
        sock.sendall(self._greeting)
        sock.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Any]:
    """Makes doors."""
    made: list[Door] = []

    def build(protocol: str, greeting: bytes = b"") -> Door:
        made.append(Door(tmp_path, protocol, greeting))
        return made[-1]

    yield build
    for each in made:
        each.server.stop(timeout=1)


SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8)


@pytest.mark.parametrize("greeting", [b"", SETTINGS, SETTINGS + GOAWAY], ids=["nothing", "settings", "goaway"])
def test_a_peer_that_takes_connections_and_ends_them_at_once_is_not_stormed(door: Any, greeting: bytes) -> None:
    closing = door("h2", greeting)
    pool = Pool(closing.origin, rules=PoolRules(reconnect_first_s=0.2, reconnect_most_s=1.0))
    result = ask(pool, timeout_s=2.0)
    pool.close()

    assert isinstance(result, Unanswered)
    assert 1 <= closing.connections <= 15


def test_connects_have_a_budget_also_when_each_works(connected: MakePeer) -> None:
    def answer_and_go(link: Link, stream: int) -> None:
        link.answer(stream)
        link.goaway(stream)

    peer, pool = connected(answer_and_go, connect_burst=3, connect_every_s=60.0)
    replies = [ask(pool, timeout_s=20.0) for _ in range(3)]
    late = ask(pool, timeout_s=0.3)

    assert all(isinstance(reply, Reply) for reply in replies)
    assert isinstance(late, Unanswered)
    assert Processed.NO is late.processed
    assert 3 == len(peer.links)


def test_a_connection_that_is_not_needed_any_more_is_let_go(connected: MakePeer) -> None:
    held: list[tuple[Link, int]] = []
    peer, pool = connected(
        lambda link, stream: held.append((link, stream)) if len(held) < 2 else link.answer(stream),
        settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1},
        connections=2,
        grow_after_s=0.02,
        shrink_after_s=0.2,
    )
    asking = [gevent.spawn(ask, pool, f"id-{number}") for number in range(2)]
    wait_until(lambda: len(held) == 2)
    for link, stream in held:
        link.answer(stream)
    gevent.joinall(asking, timeout=20, raise_error=True)
    assert 2 == pool.connections
    gevent.sleep(0.25)
    ask_many(pool, 1)

    wait_until(lambda: pool.connections == 1)
    assert isinstance(ask(pool), Reply)
    assert 2 == len(peer.links)


def test_a_request_after_a_long_silence_asks_whether_the_peer_lives(connected: MakePeer) -> None:
    peer, pool = connected(answer_ok, connection=ConnectionRules(doubt_after_s=0.05))
    ask(pool)
    assert 0 == peer.pings
    gevent.sleep(0.1)
    ask(pool)

    wait_until(lambda: peer.pings == 1)
    ask(pool)
    assert 1 == peer.pings


def test_a_request_that_is_always_refused_is_not_sent_in_a_busy_loop(connected: MakePeer) -> None:
    def refuse(link: Link, stream: int) -> None:
        link.h2.reset_stream(stream, 7)
        link.flush()

    peer, pool = connected(refuse)
    started = time.monotonic()
    result = ask(pool, timeout_s=1.0)

    assert isinstance(result, Unanswered)
    assert Processed.NO is result.processed
    assert time.monotonic() - started >= 0.9
    assert 3 <= peer.requests < MOST_TRIES


def test_a_peer_that_refuses_what_is_too_much_gets_all_in_the_end(connected: MakePeer) -> None:
    taken: list[str] = []
    busy: set[tuple[int, int]] = set()

    def at_most_three(link: Link, stream: int) -> None:
        if len(busy) >= 3:
            link.h2.reset_stream(stream, 7)
            link.flush()
            return
        busy.add((link.number, stream))
        gevent.spawn_later(0.005, end, link, stream)

    def end(link: Link, stream: int) -> None:
        busy.discard((link.number, stream))
        taken.append(link.ids[stream])
        link.answer(stream)

    _, pool = connected(at_most_three, connections=1)
    replies = ask_many(pool, 60)

    assert 60 == sum(isinstance(reply, Reply) for reply in replies)
    assert 60 == len(taken) == len(set(taken))


def test_each_connect_looks_the_name_up_and_tries_all_its_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    peer = Peer(tmp_path, answer_ok)

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        nobody, somebody = ("127.0.0.1", 1), ("127.0.0.1", port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in (nobody, somebody)]

    monkeypatch.setattr("workers.push.http2.origin.socket.getaddrinfo", look_up)
    pool = Pool(Origin("localhost", peer.origin.port, ca_file=peer.origin.ca_file), rules=PoolRules())
    first = ask(pool)
    pool.recycle()
    second = ask(pool)
    pool.close()
    peer.stop()

    assert all(isinstance(reply, Reply) for reply in (first, second))
    assert ["localhost", "localhost"] == asked


def test_an_address_that_does_not_answer_leaves_time_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer(tmp_path, answer_ok)
    mute = socket.socket()
    mute.bind(("127.0.0.1", 0))
    mute.listen(0)
    waiting = [socket.socket() for _ in range(3)]
    for sock in waiting:
        sock.setblocking(False)
        sock.connect_ex(mute.getsockname())  # its backlog is full: who comes now gets no answer

    def look_up(_host: str, port: int, **_: Any) -> list[Any]:
        addresses = (mute.getsockname(), ("127.0.0.1", port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]

    monkeypatch.setattr("workers.push.http2.origin.socket.getaddrinfo", look_up)
    pool = Pool(peer.origin, rules=PoolRules(connect_timeout_s=2.0))
    reply = ask(pool, timeout_s=30.0)
    pool.close()
    peer.stop()
    for sock in (mute, *waiting):
        sock.close()

    assert isinstance(reply, Reply)
    assert 0 == pool.counts.failed_connects


def test_a_server_without_http2_is_known_at_once(door: Any) -> None:
    old = door("http/1.1")
    pool = Pool(old.origin, rules=PoolRules())
    result = ask(pool, timeout_s=20.0)
    pool.close()

    assert pool.lacks_http2
    assert isinstance(result, Unanswered)
    assert Processed.NO is result.processed
    wait_until(lambda: old.connections == 1)
