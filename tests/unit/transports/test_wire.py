"""A wire over real sockets: one writer that blocks nobody, and ends that are clean."""

import os
import ssl
import time
from pathlib import Path

import gevent
import pytest

from gateway.transports.wire import HandshakeFailed, Wire
from tests.unit.transports.pairs import contexts, read_exactly, small_pair, take_tls, wait_until

MANY = os.urandom(1 << 20)
FIVE_MB = os.urandom(5 << 20)


def test_bytes_go_both_ways() -> None:
    with small_pair() as (near, far):
        near.write(b"ping")
        far.write(b"pong")

        assert (b"ping", b"pong") == (read_exactly(far, 4), read_exactly(near, 4))


def test_a_write_to_a_peer_that_does_not_read_returns_at_once_and_grows_the_backlog() -> None:
    with small_pair() as (near, _):
        started = time.process_time()
        near.write(MANY)
        first = near.backlog
        near.write(MANY)

        assert first > 0
        assert first + len(MANY) == near.backlog
        assert time.process_time() - started < 1


def test_what_was_stuck_arrives_in_order_and_tells_that_it_drained() -> None:
    drained: list[int] = []
    with small_pair() as (near, far):
        near.on_drained = lambda: drained.append(near.backlog)
        near.write(MANY)
        near.write(b"the end")
        assert [] == drained
        received = read_exactly(far, len(MANY) + 7)
        wait_until(lambda: drained)

        assert MANY + b"the end" == received
        assert [0] == drained


def test_no_greenlet_and_no_buffer_stay_behind() -> None:
    with small_pair() as (near, far):
        near.write(MANY)
        read_exactly(far, len(MANY))
        wait_until(lambda: near.backlog == 0)

        assert (None, None) == (near._flusher, near._pending)


def test_a_write_that_the_socket_takes_at_once_tells_that_it_drained() -> None:
    drained: list[int] = []
    with small_pair() as (near, _):
        near.on_drained = lambda: drained.append(near.backlog)
        near.write(b"one")
        near.write(b"two")
        near.write(b"")

        assert [0, 0] == drained


def test_a_callback_that_writes_is_called_again_and_not_from_inside() -> None:
    depth, deepest, left = 0, 0, [b"two", b"three"]
    with small_pair() as (near, far):

        def on_drained() -> None:
            nonlocal depth, deepest
            depth += 1
            deepest = max(deepest, depth)
            if left:
                near.write(left.pop(0))
            depth -= 1

        near.on_drained = on_drained
        near.write(b"one")

        assert (1, b"onetwothree") == (deepest, read_exactly(far, 11))


def test_a_callback_that_fails_in_the_flusher_closes_the_wire() -> None:
    with small_pair() as (near, far):

        def on_drained() -> None:
            raise RuntimeError("broken")

        near.on_drained = on_drained
        near.write(MANY)
        read_exactly(far, len(MANY))
        wait_until(lambda: near.closed)

        assert "internal error" == near.reason


def test_a_peer_that_takes_nothing_for_too_long_is_given_up() -> None:
    with small_pair(write_timeout_s=0.05) as (near, _):
        near.write(MANY)
        wait_until(lambda: near.closed)

        assert "the peer took nothing for 0.05 s" == near.reason
        assert 0 == near.backlog


def test_a_read_ends_with_the_stream() -> None:
    with small_pair() as (near, far):
        far.close()

        assert (b"", b"") == (near.read(timeout_s=20), near.read(timeout_s=20))
        assert not near.closed


def test_a_read_with_a_deadline_raises_and_the_next_one_works() -> None:
    with small_pair() as (near, far):
        with pytest.raises(TimeoutError):
            near.read(timeout_s=0.01)
        far.write(b"late")

        assert b"late" == near.read(timeout_s=20)


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("with_tls", [False, True])
def test_an_end_wakes_a_blocked_read(how: str, with_tls: bool, tmp_path: Path) -> None:
    with small_pair() as (near, far):
        if with_tls:
            take_tls(far, near, *contexts(tmp_path))
        reading = gevent.spawn(near.read)
        gevent.idle()
        getattr(near, how)()

        assert b"" == reading.get(timeout=20)
        assert near.closed


def test_a_reset_ends_reads_and_keeps_its_reason() -> None:
    with small_pair() as (near, far):
        near.write(b"never read")
        wait_until(lambda: far.read(1, timeout_s=20))
        far.abort()

        assert b"" == near.read(timeout_s=20)
        assert "Connection reset by peer" == near.reason
        assert near.closed


def test_a_write_into_a_lost_connection_closes_the_wire_and_raises_nothing() -> None:
    with small_pair() as (near, far):
        far.abort()

        def is_noticed() -> bool:
            near.write(b"anybody there?")
            return near.closed

        wait_until(is_noticed)

        assert near.reason in ("Connection reset by peer", "Broken pipe")


def test_a_stuck_write_notices_a_reset() -> None:
    with small_pair() as (near, far):
        near.write(MANY)
        far.abort()
        wait_until(lambda: near.closed)

        assert near.reason in ("Connection reset by peer", "Broken pipe")


@pytest.mark.parametrize("with_tls", [False, True])
def test_close_sends_what_is_stuck_if_the_peer_takes_it(with_tls: bool, tmp_path: Path) -> None:
    with small_pair() as (near, far):
        if with_tls:
            take_tls(far, near, *contexts(tmp_path))
        near.write(MANY)
        near.close(20, reason="done")
        near.close(0)
        near.write(b"too late")

        assert MANY == read_exactly(far, len(MANY) + 1)
        assert "done" == near.reason
        far.close()
        near.wait_closed()
        assert -1 == near._sock.fileno()


def test_close_gives_up_in_time_if_the_peer_takes_nothing() -> None:
    with small_pair() as (near, _):
        near.write(MANY)
        near.close(0.05)
        assert near.closed
        assert near._sock.fileno() >= 0  # it did not wait for the peer
        near.wait_closed()

        assert -1 == near._sock.fileno()


def test_close_without_patience_is_immediate() -> None:
    with small_pair() as (near, _):
        near.write(MANY)
        near.close(0)

        assert -1 == near._sock.fileno()


def test_a_peer_that_goes_on_sending_still_gets_the_last_word() -> None:
    with small_pair() as (near, far):
        far.write(MANY[: 512 * 1024])
        near.write(b"</stream:stream>")
        near.close(20)
        wait_until(lambda: far.backlog == 0)

        assert b"</stream:stream>" == read_exactly(far, 17)
        assert "" == far.reason


def test_a_peer_that_never_stops_sending_does_not_keep_a_closed_wire_open() -> None:
    with small_pair() as (near, far):
        far.write(MANY + MANY)
        near.close(20)
        wait_until(lambda: near._sock.fileno() == -1)

        assert "closed" == near.reason


def test_five_megabytes_each_way_through_tls_at_once_past_a_slow_reader(tmp_path: Path) -> None:
    with small_pair() as (near, far):
        take_tls(far, near, *contexts(tmp_path))

        def read_slowly(wire: Wire) -> bytes:
            data = bytearray()
            while len(data) < len(FIVE_MB) and (piece := wire.read(60000, timeout_s=20)):
                data += piece
                gevent.sleep(0)
            return bytes(data)

        readers = [gevent.spawn(read_slowly, near), gevent.spawn(read_slowly, far)]
        for start in range(0, len(FIVE_MB), 100_001):
            near.write(FIVE_MB[start : start + 100_001])
            far.write(FIVE_MB[start : start + 100_001])
        assert near.backlog > 0

        assert [True, True] == [reader.get(timeout=60) == FIVE_MB for reader in readers]


def test_a_short_record_that_was_stuck_is_retried_as_it_was_when_more_has_come(tmp_path: Path) -> None:
    with small_pair() as (near, far):
        take_tls(far, near, *contexts(tmp_path))
        sent = bytearray()
        while near.backlog == 0:
            near.write(b"short record")
            sent += b"short record"
        near.write(MANY)

        assert sent + MANY == read_exactly(far, len(sent) + len(MANY))


def test_a_handshake_agrees_on_tls_and_on_the_channel(tmp_path: Path) -> None:
    with small_pair() as (near, far):
        take_tls(far, near, *contexts(tmp_path))
        far.write(b"inside")
        assert near.tls is not None
        assert far.tls is not None

        assert ("TLSv1.3", b"inside") == (near.tls.version, read_exactly(near, 6))
        assert near.tls.bindings["tls-server-end-point"] == far.tls.bindings["tls-server-end-point"]
        assert near.tls.cipher.startswith("TLS_")


def test_what_was_written_before_the_handshake_leaves_before_it_and_in_the_clear(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    with small_pair() as (near, far):
        far.write(MANY)
        shaking = gevent.spawn(far.start_tls, server)
        in_the_clear = read_exactly(near, len(MANY))
        gevent.spawn(lambda: far.write(b"after"))
        near.start_tls(client, server_side=False, server_hostname="localhost")
        shaking.get()

        assert (MANY, b"after") == (in_the_clear, read_exactly(near, 5))


def test_a_peer_that_does_not_speak_tls_fails_the_handshake(tmp_path: Path) -> None:
    server, _ = contexts(tmp_path)
    with small_pair() as (near, far):
        near.write(b"<stream:stream to='localhost'>")
        with pytest.raises(HandshakeFailed):
            far.start_tls(server)

        assert far.closed
        assert far.reason.startswith("TLS handshake: ")


def test_a_peer_that_says_nothing_fails_the_handshake_in_time(tmp_path: Path) -> None:
    server, _ = contexts(tmp_path)
    with small_pair() as (_, far):
        with pytest.raises(HandshakeFailed, match=r"no handshake within 0\.05 s"):
            far.start_tls(server, timeout_s=0.05)

        assert far.closed


def test_a_peer_that_went_away_fails_the_handshake(tmp_path: Path) -> None:
    server, _ = contexts(tmp_path)
    with small_pair() as (near, far):
        near.abort()
        with pytest.raises(HandshakeFailed):
            far.start_tls(server)

        assert far.closed


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_wire_that_ends_during_its_handshake_fails_it(how: str, tmp_path: Path) -> None:
    server, _ = contexts(tmp_path)
    with small_pair() as (_, far):
        shaking = gevent.spawn(far.start_tls, server)
        shaking.link_exception(lambda _: None)
        wait_until(lambda: far._is_shaking_hands)
        getattr(far, how)()
        with pytest.raises(HandshakeFailed):
            shaking.get(timeout=20)


def test_a_wire_that_is_closed_before_its_handshake_fails_it(tmp_path: Path) -> None:
    server, _ = contexts(tmp_path)
    with small_pair() as (_, far):
        far.close(reason="drained")
        with pytest.raises(HandshakeFailed, match="drained"):
            far.start_tls(server)


def test_a_server_that_a_client_does_not_trust_is_refused(tmp_path: Path) -> None:
    server, _ = contexts(tmp_path / "one")
    _, other = contexts(tmp_path / "two")
    with small_pair() as (near, far):
        shaking = gevent.spawn(far.start_tls, server)
        with pytest.raises(HandshakeFailed, match="CERTIFICATE_VERIFY_FAILED"):
            near.start_tls(other, server_side=False, server_hostname="localhost")
        with pytest.raises(HandshakeFailed):
            shaking.get(timeout=20)


def test_a_flood_of_reads_lets_others_have_their_turn() -> None:
    turns = 0
    with small_pair() as (near, far):
        near.write(b"x" * 500)
        wait_until(lambda: near.backlog == 0)
        assert b"x" == far.read(1, timeout_s=20)

        def other() -> None:
            nonlocal turns
            turns += 1

        gevent.spawn(other)
        read_one_by_one = [far.read(1, timeout_s=20) for _ in range(100)]

        assert (1, 100) == (turns, len(read_one_by_one))


def test_what_this_module_takes_from_inside_of_gevent_and_ssl_is_there(tmp_path: Path) -> None:
    with small_pair() as (near, far):
        assert near._sock._read_event is not None
        take_tls(far, near, *contexts(tmp_path))
        tls_object = near._sock._sslobj

        assert 4 == tls_object.write(memoryview(b"four"))
        assert callable(tls_object.shutdown)
        assert near._sock._read_event is not None
        with pytest.raises(ssl.SSLWantReadError):
            tls_object.read(1)
