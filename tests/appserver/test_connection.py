"""The component's connection: to a server under the test's hand, which accepts, refuses, falls silent and goes away."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import pytest

from gateway.settings import Secret
from gateway.xmpp import ns
from gateway.xmpp.element import Element
from tests.support.component_host import DOMAIN, HEADER, SECRET, Peer
from workers.appserver.connection import Connection, pause_s
from workers.appserver.settings import AppServerSettings, PeerSettings
from workers.appserver.stream import Accepted, ComponentStream, Send, StreamEnded

WIDE = " ".join(f"a{number}=''" for number in range(500))
PING = f"<ping xmlns='{ns.PING}'/>"


class Echo:
    """A service that answers each request by its id, the slow ones when they are let go."""

    def __init__(self) -> None:
        self.let_go = gevent.event.Event()
        self.working = self.most = 0

    def answer(self, stanza: Element) -> bytes | None:
        self.working += 1
        self.most = max(self.most, self.working)
        if stanza.attrs["id"].startswith("slow"):
            self.let_go.wait(10)
        self.working -= 1
        if stanza.attrs["id"] == "fault":
            raise ValueError("a fault of the service's")
        return f"<iq type='result' id='{stanza.attrs['id']}' from='{DOMAIN}' to='peer.example'/>".encode()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


Start = Callable[..., tuple[Connection, Echo]]


@pytest.fixture
def start(peer: Peer) -> Iterator[Start]:
    running: list[tuple[Connection, Echo, gevent.Greenlet]] = []

    def begin(**changes: Any) -> tuple[Connection, Echo]:
        settings = AppServerSettings(**{"retry_most": 0.1, **changes})
        echo: Any = Echo()
        made = Connection(DOMAIN, PeerSettings(port=peer.port, secret=Secret(SECRET)), echo, settings)
        running.append((made, echo, gevent.spawn(made.run)))
        return made, echo

    yield begin
    for made, echo, greenlet in running:
        echo.let_go.set()
        made.stop()
        greenlet.join(10)
        assert greenlet.dead


def iq(id_: str) -> str:
    return f"<iq type='get' id='{id_}' from='peer.example' to='{DOMAIN}'>{PING}</iq>"


def test_it_says_who_it_is_proves_it_and_answers(peer: Peer, start: Start) -> None:
    start()
    peer.accept()
    assert f"to='{DOMAIN}'" in peer.until(">") + peer.until(">")
    peer.send(HEADER)
    proof = peer.until("</handshake>")
    peer.send("<handshake/>" + iq("1"))

    assert hashlib.sha1(f"s1{SECRET}".encode()).hexdigest() in proof
    assert "id='1'" in peer.until("/>")


def test_it_comes_back_when_the_link_is_lost(peer: Peer, start: Start) -> None:
    connection, _ = start()
    for _ in range(3):
        peer.welcome()
        peer.send(iq("1"))
        peer.until("id='1'")
        peer.cut()
    peer.welcome()
    peer.send(iq("2"))

    assert "type='result' " in peer.until("id='2'")
    assert connection.is_up


def test_it_comes_back_when_the_server_says_goodbye(peer: Peer, start: Start) -> None:
    start()
    peer.welcome()
    peer.send("</stream:stream>")
    peer.welcome()


def test_a_wrong_secret_is_said_at_once_and_tried_no_oftener_than_it_may(
    peer: Peer, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start(retry_most=0.5)
    peer.accept()
    peer.send(HEADER)
    peer.until("</handshake>")
    refused_at = time.monotonic()
    peer.send(f"<stream:error><not-authorized xmlns='{ns.STREAM_ERRORS}'/></stream:error></stream:stream>")
    peer.welcome()

    assert time.monotonic() - refused_at >= 0.5
    written = " ".join(str(record.__dict__) for record in caplog.records)
    assert "not-authorized" in written
    assert SECRET not in written


def test_a_server_that_is_silent_is_asked_and_then_left(
    peer: Peer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.appserver.connection.ANSWER_S", 0.3)
    start(ping_after=0.1)
    peer.welcome()
    peer.until("urn:xmpp:ping")
    peer.welcome()


def test_a_ping_that_comes_back_keeps_the_connection(peer: Peer, start: Start) -> None:
    connection, _ = start(ping_after=0.1)
    peer.welcome()
    for _ in range(3):
        ping = peer.until("</iq>")
        id_ = ping.partition("id='")[2].partition("'")[0]
        peer.send(f"<iq type='get' id='{id_}' from='{DOMAIN}' to='{DOMAIN}'>{PING}</iq>")
        assert f"id='{id_}'" in peer.until("/>") + "/>"

    assert connection.is_up


def test_a_handshake_that_takes_too_long_is_given_up(peer: Peer, start: Start) -> None:
    start(connect_timeout=0.2)
    peer.accept()
    peer.welcome()


def test_no_more_is_worked_on_at_a_time_than_may_be(peer: Peer, start: Start) -> None:
    _, echo = start(in_flight=3)
    peer.welcome()
    peer.send("".join(iq(f"slow{number}") for number in range(20)))
    while echo.working < 3:
        gevent.sleep(0.01)
    gevent.sleep(0.05)
    echo.let_go.set()
    peer.until("id='slow19'")

    assert 3 == echo.most


def test_a_slow_request_does_not_hold_up_the_next(peer: Peer, start: Start) -> None:
    _, echo = start()
    peer.welcome()
    peer.send(iq("slow") + iq("quick"))

    assert "slow" not in peer.until("id='quick'")
    echo.let_go.set()
    peer.until("id='slow'")


def test_a_fault_of_the_service_ends_no_connection(peer: Peer, start: Start) -> None:
    start()
    peer.welcome()
    peer.send(iq("fault") + iq("next"))

    peer.until("id='next'")


def test_what_is_in_hand_is_answered_before_it_leaves(peer: Peer, start: Start) -> None:
    connection, echo = start()
    peer.welcome()
    peer.send(iq("slow"))
    while not echo.working:
        gevent.sleep(0.01)
    stopping = gevent.spawn(connection.stop)
    echo.let_go.set()

    assert "id='slow'" in peer.until("</stream:stream>")
    stopping.join(10)
    assert stopping.dead


def test_what_is_no_xmpp_ends_the_connection_and_not_the_process(peer: Peer, start: Start) -> None:
    start()
    peer.accept()
    peer.send("HTTP/1.1 400 Bad Request\r\n\r\n")
    peer.welcome()


@pytest.mark.parametrize(
    "stanza",
    [
        f"<message from='a@peer.example' to='{DOMAIN}'><body>{'x' * 1_000_000}</body></message>",
        f"<message from='a@peer.example' to='{DOMAIN}'>{'<a>' * 2000}{'</a>' * 2000}</message>",
        f"<message from='a@peer.example' to='{DOMAIN}'><a {WIDE}/></message>",
    ],
    ids=["long", "deep", "wide"],
)
def test_what_a_user_makes_its_server_send_ends_no_connection(peer: Peer, start: Start, stanza: str) -> None:
    connection, _ = start()
    peer.welcome()
    peer.send(stanza.replace("<message ", "<message id='m' ") + iq("next"))
    peer.until("id='next'")

    assert connection.is_up


def test_the_wait_grows_with_each_failure_up_to_its_ceiling_and_is_random() -> None:
    ceilings = [pause_s(failures, most_s=60, uniform=lambda _, high: high) for failures in range(9)]

    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == ceilings
    assert 5 < len({pause_s(3, most_s=60) for _ in range(10)})


# the stream, without a socket


def opened() -> ComponentStream:
    stream = ComponentStream(DOMAIN, SECRET)
    assert [Send] == [type(event) for event in stream.feed(HEADER.encode())]
    return stream


def test_stanzas_come_as_those_of_clients_do() -> None:
    stream = opened()
    events = list(stream.feed(f"<handshake/>{iq('1')}".encode()))

    assert isinstance(events[0], Accepted)
    assert isinstance(events[1], Element)
    assert (ns.CLIENT, "iq") == (events[1].ns, events[1].name)


def test_nothing_counts_before_the_handshake_was_accepted() -> None:
    assert [] == list(opened().feed(iq("1").encode()))


@pytest.mark.parametrize(
    ("condition", "is_refusal"),
    [
        ("not-authorized", True),
        ("host-unknown", True),
        ("conflict", True),
        ("system-shutdown", False),
        ("reset", False),
    ],
)
def test_a_refusal_is_told_from_a_goodbye(condition: str, is_refusal: bool) -> None:
    with pytest.raises(StreamEnded, match=condition) as caught:
        list(opened().feed(f"<stream:error><{condition} xmlns='{ns.STREAM_ERRORS}'/></stream:error>".encode()))

    assert is_refusal == caught.value.is_refusal


def test_a_header_without_an_id_cannot_be_answered() -> None:
    with pytest.raises(StreamEnded):
        list(ComponentStream(DOMAIN, SECRET).feed(HEADER.replace("id='s1'", "").encode()))
