"""The HTTP/2 client against a peer that does everything a peer may do (RFC 9113)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from h2.settings import SettingCodes

from tests.push.http2_peer import Link, OnRequest, Peer
from workers.push.http2.connection import ConnectionRules
from workers.push.http2.origin import Origin
from workers.push.http2.pool import Pool, PoolRules
from workers.push.reply import Processed, Reply, Result, Unanswered

MakePeer = Callable[..., tuple[Peer, Pool]]


@pytest.fixture
def connected(tmp_path: Path) -> Iterator[MakePeer]:
    """Makes a peer, and a pool that talks to it."""
    made: list[Peer | Pool] = []

    def make(
        on_request: OnRequest, *, settings: dict[SettingCodes, int] | None = None, **rules: object
    ) -> tuple[Peer, Pool]:
        peer = Peer(tmp_path, on_request, settings=settings)
        pool = Pool(peer.origin, rules=PoolRules(**rules))  # type: ignore[arg-type]
        made.extend((pool, peer))
        return peer, pool

    yield make
    for thing in made:
        thing.close() if isinstance(thing, Pool) else thing.stop()


def ask(pool: Pool, name: str = "one", *, body: bytes = b"{}", timeout_s: float = 20.0) -> Result:
    headers = [
        (b":method", b"POST", False),
        (b":scheme", b"https", False),
        (b":authority", b"x", False),
        (b":path", b"/", False),
        (b"apns-id", name.encode(), True),
    ]
    return pool.request(headers, body, timeout_s=timeout_s)


def ask_many(pool: Pool, many: int, **options: float) -> list[Result]:
    asking = [gevent.spawn(ask, pool, f"id-{number}", **options) for number in range(many)]
    gevent.joinall(asking, timeout=60, raise_error=True)
    return [greenlet.value for greenlet in asking]


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        gevent.sleep(0.005)


def answer_ok(link: Link, stream: int) -> None:
    link.answer(stream)


@pytest.mark.parametrize(
    ("chunks", "body"),
    [((), b""), ((b"",), b""), ((b'{"reason"', b":", b'"x"}'), b'{"reason":"x"}'), ((b"{}", b""), b"{}")],
    ids=["headers only", "an empty DATA frame", "split DATA", "an empty last frame"],
)
def test_a_reply_may_come_in_any_frames(connected: MakePeer, chunks: tuple[bytes, ...], body: bytes) -> None:
    _, pool = connected(lambda link, stream: link.answer(stream, 400, chunks))

    assert Reply(400, {"apns-id": "one"}, body) == ask(pool)


def test_it_starts_with_one_stream_until_settings_are_known(connected: MakePeer) -> None:
    peer, pool = connected(answer_ok, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}, connections=1)
    replies = ask_many(pool, 20)

    assert 20 == sum(isinstance(reply, Reply) for reply in replies)
    assert 1 == peer.most_open


def test_it_obeys_settings_that_change(connected: MakePeer) -> None:
    held: list[tuple[Link, int]] = []

    def on_request(link: Link, stream: int) -> None:
        if stream == 1:
            link.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 7})
            link.answer(stream)
        else:
            held.append((link, stream))

    _, pool = connected(on_request, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}, connections=1)
    ask(pool)
    asking = [gevent.spawn(ask, pool, f"id-{number}") for number in range(20)]
    wait_until(lambda: len(held) == 7)
    gevent.sleep(0.05)

    assert 7 == len(held)
    assert 13 == pool.waiting
    while held:
        link, stream = held.pop()
        link.answer(stream)
        gevent.sleep(0.002)
    gevent.joinall(asking, timeout=20)
    assert all(isinstance(greenlet.value, Reply) for greenlet in asking)


def test_many_requests_share_one_connection(connected: MakePeer) -> None:
    peer, pool = connected(answer_ok)
    ask(pool)
    ask_many(pool, 200)

    assert 1 == len(peer.links)


def test_a_small_window_makes_the_body_come_in_pieces(connected: MakePeer) -> None:
    peer, pool = connected(answer_ok, settings={SettingCodes.INITIAL_WINDOW_SIZE: 100})
    body = bytes(range(256)) * 16

    assert isinstance(ask(pool, body=body), Reply)
    assert body == peer.links[0].bodies[1]


def test_answers_larger_than_the_window_are_read(connected: MakePeer) -> None:
    chunk = b"x" * 10_000
    _, pool = connected(lambda link, stream: link.answer(stream, 200, (chunk,)))
    replies = [ask(pool) for _ in range(30)]

    assert 30 == sum(isinstance(reply, Reply) and reply.body == chunk for reply in replies)


def test_what_lies_above_the_goaway_mark_is_sent_again_with_the_same_id(connected: MakePeer) -> None:
    taken: list[str] = []

    def on_request(link: Link, stream: int) -> None:
        if link.number == 1 and stream > 5:
            if link.h2.highest_inbound_stream_id == stream and not getattr(link, "gone", False):
                link.goaway(5)
                link.gone = True  # type: ignore[attr-defined]
            return
        taken.append(link.ids[stream])
        link.answer(stream)

    peer, pool = connected(on_request, connections=1)
    replies = ask_many(pool, 40)

    assert 40 == sum(isinstance(reply, Reply) for reply in replies)
    assert 40 == len(taken) == len(set(taken))
    assert 2 == len(peer.links)


def test_what_lies_below_the_goaway_mark_is_waited_for(connected: MakePeer) -> None:
    def on_request(link: Link, stream: int) -> None:
        link.goaway(stream)
        gevent.sleep(0.05)
        link.answer(stream, 200, (b"late",))

    peer, pool = connected(on_request)
    reply = ask(pool)

    assert isinstance(reply, Reply)
    assert b"late" == reply.body
    assert 1 == len(peer.links)


def test_an_answer_in_the_same_bytes_as_a_goaway_counts(connected: MakePeer) -> None:
    def on_request(link: Link, stream: int) -> None:
        link.h2.send_headers(stream, [(":status", "200")], end_stream=True)
        answer = link.h2.data_to_send()
        frame = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + stream.to_bytes(4, "big") + bytes(4)
        link.sock.sendall(frame + answer)

    peer, pool = connected(on_request)

    assert Reply(200, {}, b"") == ask(pool)
    assert 1 == peer.requests


def test_a_graceful_goaway_then_a_final_one(connected: MakePeer) -> None:
    taken: list[str] = []

    def on_request(link: Link, stream: int) -> None:
        if link.number > 1:
            taken.append(link.ids[stream])
            link.answer(stream)
        elif stream == 1:
            link.goaway(2**31 - 1)
            link.answer(stream)
            taken.append(link.ids[stream])
        elif stream == 3:
            link.goaway(1)

    _, pool = connected(on_request)
    replies = ask_many(pool, 10)

    assert 10 == sum(isinstance(reply, Reply) for reply in replies)
    assert 10 == len(set(taken))


def test_a_refused_stream_is_sent_again(connected: MakePeer) -> None:
    def on_request(link: Link, stream: int) -> None:
        if stream < 5:
            link.h2.reset_stream(stream, 7)
            link.flush()
        else:
            link.answer(stream)

    peer, pool = connected(on_request)

    assert isinstance(ask(pool), Reply)
    assert 3 == peer.requests


def test_a_stream_reset_for_another_reason_is_not_sent_again(connected: MakePeer) -> None:
    def on_request(link: Link, stream: int) -> None:
        link.h2.reset_stream(stream, 2)
        link.flush()

    peer, pool = connected(on_request)

    assert Unanswered("stream reset, code 2", Processed.MAYBE) == ask(pool)
    assert 1 == peer.requests


def test_a_connection_that_dies_is_replaced_and_its_requests_sent_once_more(connected: MakePeer) -> None:
    def on_request(link: Link, stream: int) -> None:
        if link.number == 1:
            link.sock.close()
        else:
            link.answer(stream)

    peer, pool = connected(on_request)

    assert isinstance(ask(pool), Reply)
    assert 2 == len(peer.links)


def test_a_peer_that_always_dies_is_given_up_after_the_second_time(connected: MakePeer) -> None:
    peer, pool = connected(lambda link, _stream: link.sock.close())
    result = ask(pool)

    assert isinstance(result, Unanswered)
    assert Processed.MAYBE is result.processed
    assert 2 == peer.requests


def test_a_request_has_a_deadline_and_gives_its_stream_back(connected: MakePeer) -> None:
    peer, pool = connected(lambda _link, _stream: None)
    started = time.monotonic()
    result = ask(pool, timeout_s=0.2)

    assert isinstance(result, Unanswered)
    assert "no answer within 0.2 s" in result.reason
    assert time.monotonic() - started < 10
    wait_until(lambda: peer.resets == [1])


def test_after_a_timeout_a_silent_peer_is_asked_whether_it_lives_and_replaced(connected: MakePeer) -> None:
    peer, pool = connected(answer_ok, connection=ConnectionRules(ping_timeout_s=0.2))
    ask(pool)
    peer.is_deaf = True
    ask(pool, timeout_s=0.2)
    wait_until(lambda: pool.connections == 0)
    peer.is_deaf = False

    assert isinstance(ask(pool), Reply)
    assert 2 == len(peer.links)


def test_an_idle_connection_is_kept_alive_by_pings(connected: MakePeer) -> None:
    peer, pool = connected(answer_ok, connection=ConnectionRules(ping_after_s=0.05))
    ask(pool)
    wait_until(lambda: peer.pings >= 3)

    assert 1 == pool.connections
    assert isinstance(ask(pool), Reply)


def test_a_full_queue_refuses_at_once(connected: MakePeer) -> None:
    peer, pool = connected(
        lambda _link, _stream: None, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}, queue=3, connections=1
    )
    asking = [gevent.spawn(ask, pool)]
    wait_until(lambda: peer.requests == 1)
    asking += [gevent.spawn(ask, pool) for _ in range(3)]
    wait_until(lambda: pool.waiting == 3)

    assert Unanswered("3 requests are waiting already", Processed.NO) == ask(pool)
    pool.close()
    gevent.joinall(asking, timeout=10)


def test_waiting_requests_make_more_connections_up_to_the_limit(connected: MakePeer) -> None:
    held: list[tuple[Link, int]] = []
    _, pool = connected(
        lambda link, stream: held.append((link, stream)),
        settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1},
        connections=3,
        grow_after_s=0.02,
    )
    asking = [gevent.spawn(ask, pool, f"id-{number}", timeout_s=30.0) for number in range(10)]
    wait_until(lambda: len(held) == 3)
    gevent.sleep(0.1)

    assert 3 == pool.connections == len(held)
    pool.close()
    gevent.joinall(asking, timeout=10)


def test_a_peer_that_does_not_listen_is_tried_again_with_back_off_until_the_deadline(tmp_path: Path) -> None:
    peer = Peer(tmp_path, answer_ok)
    origin = peer.origin
    peer.stop()
    pool = Pool(origin, rules=PoolRules(reconnect_first_s=0.05, reconnect_most_s=0.1))
    result = ask(pool, timeout_s=1.0)
    pool.close()

    assert isinstance(result, Unanswered)
    assert Processed.NO is result.processed
    assert "cannot connect" in result.reason
    assert 2 <= pool.counts.failed_connects <= 100


def test_a_certificate_that_nobody_vouches_for_is_refused(connected: MakePeer) -> None:
    peer, _ = connected(answer_ok)
    pool = Pool(Origin(peer.origin.host, peer.origin.port), rules=PoolRules())
    fault = pool.connect(10.0)
    pool.close()

    assert "CERTIFICATE_VERIFY_FAILED" in fault
    assert 0 == peer.requests


def test_a_peer_that_breaks_the_protocol_is_left(connected: MakePeer) -> None:
    def on_request(link: Link, stream: int) -> None:
        if link.number == 1:
            link.sock.sendall(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")
        else:
            link.answer(stream)

    peer, pool = connected(on_request)

    assert isinstance(ask(pool), Reply)
    assert 2 == len(peer.links)


def test_recycling_finishes_what_is_in_flight_on_the_old_connection(connected: MakePeer) -> None:
    held: list[tuple[Link, int]] = []

    def on_request(link: Link, stream: int) -> None:
        if link.number == 1:
            held.append((link, stream))
        else:
            link.answer(stream)

    peer, pool = connected(on_request)
    old = gevent.spawn(ask, pool, "old")
    wait_until(lambda: len(held) == 1)
    pool.recycle()

    assert isinstance(ask(pool, "new"), Reply)
    assert not old.ready()
    held[0][0].answer(held[0][1])
    assert isinstance(old.get(timeout=20), Reply)
    wait_until(lambda: pool.connections == 1)
    assert 2 == len(peer.links)


def test_closing_answers_what_waits(connected: MakePeer) -> None:
    peer, pool = connected(lambda _link, _stream: None)
    asking = gevent.spawn(ask, pool)
    wait_until(lambda: peer.requests == 1)
    pool.close()

    assert isinstance(asking.get(timeout=10), Unanswered)
    assert Unanswered("the pool is closed", Processed.NO) == ask(pool)


@pytest.mark.parametrize("url", ["http://a", "a:443", "https://", "https://a/path", ""])
def test_only_an_https_origin_is_taken(url: str) -> None:
    with pytest.raises(ValueError, match="https://host:port"):
        Origin.of(url)
