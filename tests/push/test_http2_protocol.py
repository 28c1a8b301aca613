"""The sans-IO side of HTTP/2 (RFC 9113) against frames made with other libraries: hyperframe and hpack."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from workers.push.http2.exchange import Exchange
from workers.push.http2.protocol import BACKLOG_LIMIT, ClientProtocol, ConnectionBroken
from workers.push.reply import Processed, Reply, Unanswered

SETTINGS = SettingsFrame(0)
ACK = SettingsFrame(0, flags=["ACK"])


def an_exchange(body: bytes = b"{}", **headers: str) -> Exchange:
    fields = {":method": "POST", ":scheme": "https", ":authority": "x", ":path": "/", **headers}
    return Exchange([(name.encode(), value.encode(), False) for name, value in fields.items()], body)


class Client:
    """Our protocol, and what a peer understands of it."""

    def __init__(self, *first: Frame, most_streams: int = 100) -> None:
        self.replayed: list[Exchange] = []
        self.protocol = ClientProtocol(most_streams=most_streams, replay=self.replayed.append)
        self.hpack = hpack.Encoder()
        self.reader = hpack.Decoder()
        self.sent()
        self.gets(*(first or (SETTINGS,)))

    def gets(self, *frames: Frame) -> None:
        self.protocol.receive(b"".join(frame.serialize() for frame in frames))

    def sent(self) -> list[Frame]:
        """What went out, without the preface."""
        data = self.protocol.to_send().removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        found = []
        while data:
            frame, length = Frame.parse_frame_header(memoryview(data[:9]))
            frame.parse_body(memoryview(data[9 : 9 + length]))
            found.append(frame)
            data = data[9 + length :]
        return found

    def asks(self, body: bytes = b"{}", **headers: str) -> Exchange:
        exchange = an_exchange(body, **headers)
        self.protocol.start(exchange)
        return exchange

    def head(self, stream: int, *fields: tuple[str, str], flags: Sequence[str] = ("END_HEADERS",)) -> HeadersFrame:
        return HeadersFrame(stream, self.hpack.encode(fields or [(":status", "200")]), flags=flags)


def data(stream: int, content: bytes, *flags: str, **fields: int) -> DataFrame:
    return DataFrame(stream, content, flags=flags, **fields)


def result(exchange: Exchange) -> Reply | Unanswered | None:
    return exchange.result.get() if exchange.is_settled else None


def test_it_introduces_itself_and_acknowledges_settings() -> None:
    protocol = ClientProtocol(most_streams=1, replay=lambda _: None)
    greeting = protocol.to_send()
    protocol.receive(SETTINGS.serialize())

    assert greeting.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert ACK.serialize() == protocol.to_send()


def test_a_request_is_headers_and_data() -> None:
    client = Client()
    client.sent()
    client.asks(b"body", **{"apns-id": "one"})
    headers, body = client.sent()

    assert {"END_HEADERS"} == set(headers.flags)
    assert ("apns-id", "one") in client.reader.decode(headers.data)
    assert (b"body", {"END_STREAM"}) == (body.data, set(body.flags))


def test_headers_beyond_a_frame_go_on_in_continuation_frames() -> None:
    client = Client()
    client.sent()
    client.asks(b"", padding="x" * 45_000)
    frames = client.sent()
    block = b"".join(frame.data for frame in frames)

    assert [HeadersFrame, ContinuationFrame, ContinuationFrame] == [type(frame) for frame in frames]
    assert [set(), set(), {"END_HEADERS"}] == [set(frame.flags) - {"END_STREAM"} for frame in frames]
    assert ("padding", "x" * 45_000) in client.reader.decode(block)


def test_an_answers_headers_may_come_in_continuation_frames_with_padding_and_priority() -> None:
    client = Client()
    exchange = client.asks()
    block = client.hpack.encode([(":status", "410"), ("apns-id", "one")])
    client.gets(
        HeadersFrame(1, block[:3], flags=["PADDED", "PRIORITY"], pad_length=7, depends_on=0, stream_weight=3),
        ContinuationFrame(1, block[3:5]),
        ContinuationFrame(1, block[5:], flags=["END_HEADERS"]),
        data(1, b"hello", "PADDED", pad_length=9),
        data(1, b"", "END_STREAM"),
    )

    assert Reply(410, {"apns-id": "one"}, b"hello") == result(exchange)


def test_interim_answers_are_not_the_answer_and_trailers_belong_to_it() -> None:
    client = Client()
    exchange = client.asks()
    client.gets(client.head(1, (":status", "103"), ("link", "x")))
    assert result(exchange) is None
    client.gets(
        client.head(1, (":status", "200"), ("a", "b")),
        data(1, b"x"),
        client.head(1, ("c", "d"), flags=("END_HEADERS", "END_STREAM")),
    )

    assert Reply(200, {"a": "b", "c": "d"}, b"x") == result(exchange)


def test_an_answer_without_a_status_is_none() -> None:
    client = Client()
    exchange = client.asks()
    client.gets(client.head(1, ("a", "b"), flags=("END_HEADERS", "END_STREAM")))

    assert Unanswered("an answer without a status", Processed.MAYBE) == result(exchange)


def test_what_comes_on_a_cancelled_stream_is_ignored_but_its_header_table_is_not() -> None:
    client = Client()
    given_up, other = client.asks(), client.asks()
    assert client.protocol.cancel(given_up)
    late = client.head(1, (":status", "200"), ("x-long-name", "its value"))
    again = client.head(3, (":status", "200"), ("x-long-name", "its value"), flags=("END_HEADERS", "END_STREAM"))
    client.gets(late, data(1, b"late"), WindowUpdateFrame(1, window_increment=5), RstStreamFrame(1), again)

    assert len(again.data) < len(late.data)
    assert Reply(200, {"x-long-name": "its value"}, b"") == result(other)
    assert result(given_up) is None


def test_pings_are_answered_and_unknown_frames_ignored() -> None:
    client = Client()
    client.sent()
    client.protocol.receive(raw(99, 0, b"x"))
    client.gets(PingFrame(0, b"12345678"), PriorityFrame(5, depends_on=0))
    (pong,) = client.sent()

    assert (b"12345678", {"ACK"}) == (pong.opaque_data, set(pong.flags))


def test_a_window_that_shrinks_under_a_body_stops_it_until_it_has_grown_again() -> None:
    client = Client(SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 100}))
    client.sent()
    client.asks(bytes(150))
    client.gets(SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 20}))
    client.gets(WindowUpdateFrame(1, window_increment=80))
    sizes = [len(frame.data) for frame in client.sent() if isinstance(frame, DataFrame)]
    client.gets(WindowUpdateFrame(1, window_increment=60))
    (rest,) = client.sent()

    assert [100] == sizes
    assert (50, {"END_STREAM"}) == (len(rest.data), set(rest.flags))


def test_a_long_answer_is_given_room_to_go_on() -> None:
    client = Client()
    client.sent()
    client.asks()
    client.sent()
    client.gets(client.head(1), data(1, bytes(16_384)), data(1, bytes(16_384)), data(1, bytes(16_384)))
    updates = [(frame.stream_id, frame.window_increment) for frame in client.sent()]

    assert [(1, 16_384)] * 3 == [update for update in updates if update[0] == 1]
    assert 32_768 <= sum(increment for stream, increment in updates if stream == 0) <= 3 * 16_384


@pytest.mark.parametrize("value", [0, 1, 7, 2**31])
def test_streams_are_as_many_as_the_peer_allows_now(value: int) -> None:
    client = Client(SettingsFrame(0, {SettingsFrame.MAX_CONCURRENT_STREAMS: value}), most_streams=50)

    assert min(value, 50) == client.protocol.free_streams


def test_a_peer_that_refuses_gets_no_more_than_it_has_until_it_has_answered() -> None:
    client = Client()
    exchanges = [client.asks() for _ in range(3)]
    client.gets(RstStreamFrame(5, error_code=7))

    assert [exchanges[2]] == client.replayed
    assert 0 == client.protocol.free_streams
    client.gets(client.head(1, flags=("END_HEADERS", "END_STREAM")))
    assert 2 == client.protocol.free_streams


def test_goaway_hands_back_what_was_not_looked_at() -> None:
    client = Client()
    exchanges = [client.asks() for _ in range(3)]
    client.gets(GoAwayFrame(0, last_stream_id=3, additional_data=b"{}"))
    client.gets(client.head(3, flags=("END_HEADERS", "END_STREAM")))

    assert [exchanges[2]] == client.replayed
    assert 0 == client.protocol.free_streams
    assert Reply(200, {}, b"") == result(exchanges[1])
    assert [exchanges[0]] == client.protocol.abandon()


def raw(kind: int, stream: int, payload: bytes, flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    "wrong",
    [
        raw(4, 1, b""),
        raw(4, 0, b"12345"),
        raw(4, 0, b"123456", flags=1),
        raw(4, 0, b"\x00\x02\x00\x00\x00\x01"),
        raw(4, 0, b"\x00\x04\x80\x00\x00\x00"),
        raw(4, 0, b"\x00\x05\x00\x00\x00\x01"),
        raw(6, 0, b"1234567"),
        raw(6, 1, b"12345678"),
        raw(7, 0, b"1234567"),
        raw(7, 1, b"12345678"),
        raw(8, 0, b"\x00\x00\x00\x00"),
        raw(8, 0, b"\x7f\xff\xff\xff"),
        raw(8, 1, b"\x00\x00\x00\x00"),
        raw(8, 1, b"\x7f\xff\xff\xff"),
        raw(8, 1, b"123"),
        raw(3, 1, b"123"),
        raw(3, 99, b"\x00\x00\x00\x00"),
        raw(0, 0, b""),
        raw(0, 2, b""),
        raw(0, 99, b""),
        raw(0, 1, b"\xff", flags=8),
        raw(0, 1, b"", flags=8),
        raw(1, 0, b"\x88", flags=4),
        raw(1, 1, b"\xff\xff\xff\xff", flags=4),
        raw(1, 1, b"\x88") + raw(6, 0, b"12345678"),
        raw(1, 1, b"\x88") + raw(9, 3, b""),
        raw(9, 1, b"\x88", flags=4),
        raw(1, 1, b"") + raw(9, 1, bytes(16_000)) * 5,
        PushPromiseFrame(1, 2, b"\x88", flags=["END_HEADERS"]).serialize(),
        raw(0, 1, bytes(16_385)),
    ],
)
def test_a_peer_that_breaks_the_rules_breaks_the_connection(wrong: bytes) -> None:
    client = Client()
    client.asks()

    with pytest.raises(ConnectionBroken):
        client.protocol.receive(wrong)
    assert 1 == len(client.protocol.abandon())


def test_the_first_frame_is_settings() -> None:
    with pytest.raises(ConnectionBroken, match="first frame"):
        Client(PingFrame(0, b"12345678"))


def test_a_peer_that_asks_and_never_reads_is_left() -> None:
    client = Client()
    pings = PingFrame(0, b"12345678").serialize() * (BACKLOG_LIMIT // 17)
    client.protocol.receive(pings[:-17])

    with pytest.raises(ConnectionBroken, match="does not read"):
        client.protocol.receive(pings)


def the_answers() -> tuple[bytes, int]:
    """A connection's life, as bytes, for three requests."""
    encoder = hpack.Encoder()
    frames: list[Frame] = [SettingsFrame(0, {SettingsFrame.MAX_CONCURRENT_STREAMS: 9}), ACK, PingFrame(0, b"12345678")]
    for stream in (1, 3, 5):
        block = encoder.encode([(":status", "200"), ("apns-id", f"id-{stream}")])
        frames += [HeadersFrame(stream, block[:2]), ContinuationFrame(stream, block[2:], flags=["END_HEADERS"])]
        frames += [data(stream, b"so"), data(stream, b"", "PADDED", pad_length=3), data(stream, b"me", "END_STREAM")]
    return b"".join(frame.serialize() for frame in frames), 3


@given(st.lists(st.integers(1, 60), max_size=60))
def test_bytes_may_come_in_any_pieces(sizes: list[int]) -> None:
    protocol = ClientProtocol(most_streams=9, replay=lambda _: None)
    answers, many = the_answers()
    exchanges = [an_exchange() for _ in range(many)]
    for exchange in exchanges:
        protocol.start(exchange)
    for size in sizes:
        piece, answers = answers[:size], answers[size:]
        protocol.receive(piece)
    protocol.receive(answers)

    assert [Reply(200, {"apns-id": f"id-{stream}"}, b"some") for stream in (1, 3, 5)] == [
        result(exchange) for exchange in exchanges
    ]


def broken(mutate: Callable[[bytearray], None]) -> None:
    """Whatever comes is understood, or breaks the connection; there is nothing else."""
    protocol = ClientProtocol(most_streams=9, replay=lambda _: None)
    for _ in range(3):
        protocol.start(an_exchange())
    answers = bytearray(the_answers()[0])
    mutate(answers)
    try:
        protocol.receive(bytes(answers))
    except ConnectionBroken:
        assert len(protocol.abandon()) <= 3


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20))
def test_bytes_that_are_changed_on_the_way_do_no_harm(changes: list[tuple[int, int]]) -> None:
    def mutate(answers: bytearray) -> None:
        for place, value in changes:
            answers[place % len(answers)] = value

    broken(mutate)


@given(st.binary(max_size=300))
def test_bytes_that_mean_nothing_do_no_harm(noise: bytes) -> None:
    broken(lambda answers: answers.extend(noise))
