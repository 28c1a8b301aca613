"""RFC 6120 §13.12: a peer that sends too much, too deep or too slowly."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import pytest

from gateway.xmpp.errors import StreamCondition
from gateway.xmpp.parser import ParserLimits, StreamParser
from tests.unit.xmpp.builders import HEADER, all_of, condition_of, opened

SMALL = ParserLimits(stanza_bytes=1000, depth=4, attributes=3, header_bytes=300)


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 100, 5000])
@pytest.mark.parametrize(
    "stanza",
    [
        b"<iq>" + b"x" * 2000 + b"</iq>",
        b"<iq a='" + b"x" * 2000 + b"'/>",
        b"<" + b"i" * 2000 + b"/>",
        b"<iq><a>" + b"<b/>" * 500 + b"</a></iq>",
        b"<iq><![CDATA[" + b"x" * 2000 + b"]]></iq>",
        b"<iq>" + b"x" * 992 + b"</iq>",
    ],
)
def test_a_stanza_longer_than_the_limit_is_a_violation(stanza: bytes, size: int) -> None:
    _, error = all_of(opened(SMALL), *pieces_of(stanza, size))

    assert error is not None and StreamCondition.POLICY_VIOLATION == error.condition
    assert "longer than 1000 bytes" in error.text


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_a_stanza_of_just_the_limit_is_taken(size: int) -> None:
    stanza = b"<iq a='" + b"x" * 984 + b"'></iq>"

    events, error = all_of(opened(SMALL), *pieces_of(stanza + b" " + stanza, size))

    assert error is None
    assert 2 == len(events)


@pytest.mark.parametrize("size", [1, 5000])
def test_elements_inside_one_another_have_a_limit(size: int) -> None:
    assert condition_of(opened(SMALL), *pieces_of(b"<a><a><a><a></a></a></a></a>", size)) is None
    assert StreamCondition.POLICY_VIOLATION == condition_of(opened(SMALL), *pieces_of(b"<a><a><a><a><a>", size))


@pytest.mark.parametrize("size", [1, 5000])
def test_attributes_have_a_limit(size: int) -> None:
    assert condition_of(opened(SMALL), *pieces_of(b"<a b='' c='' d=''/>", size)) is None
    assert StreamCondition.POLICY_VIOLATION == condition_of(
        opened(SMALL), *pieces_of(b"<a b='' c='' d='' e=''/>", size)
    )


@pytest.mark.parametrize("size", [1, 5000])
@pytest.mark.parametrize(
    "header",
    [
        HEADER[:-1] + b" id='" + b"x" * 500,
        HEADER.replace(b"localhost", b"x" * 500),
        b"<?xml version='1.0' " + b" " * 500,
        b"<!DOCTYPE " + b"x" * 500,
        b"<" + b"x" * 500,
    ],
)
def test_a_header_has_a_limit(header: bytes, size: int) -> None:
    assert condition_of(StreamParser(SMALL), *pieces_of(header, size)) is not None


def test_a_header_has_a_limit_that_says_so() -> None:
    _, error = all_of(StreamParser(SMALL), b"<stream:stream to='" + b"x" * 500)

    assert error is not None
    assert "a stream header longer than 300 bytes" == error.text


def test_a_reference_that_does_not_end_is_refused() -> None:
    assert StreamCondition.RESTRICTED_XML == condition_of(opened(), b"<a>&", *[b"x"] * 100)


@pytest.mark.parametrize(
    "tag",
    [
        b"<message a='" + b">" * 3000 + b"' b=\"" + b"'>" * 1500 + b"\" c=''/>",
        b"<message a='" + b"x" * 3000 + b"'>",
        b"<message><" + b"x" * 3000 + b"/>",
        b"<message><x a='" + b"\xc3\xbc" * 3000 + b"'>a</x>",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 2000])
def test_a_long_tag_may_come_in_pieces(tag: bytes, size: int) -> None:
    stanza = tag if tag.endswith(b"c=''/>") else tag + b"</message>"

    events, error = all_of(opened(), *pieces_of(stanza + b"<r/>", size))

    assert error is None
    assert [stanza, b"<r/>"] == [event.raw for event in events]  # type: ignore[union-attr]


def seconds_for(parser: StreamParser, pieces: Iterator[bytes]) -> float:
    started = time.thread_time()
    all_of(parser, *pieces)
    return time.thread_time() - started


def test_a_tag_that_trickles_in_costs_linear_time() -> None:
    def tag(length: int) -> bytes:
        return b"<a b='" + b"x" * length

    short = min(seconds_for(opened(), pieces_of(tag(12_500), 1)) for _ in range(3))
    long = min(seconds_for(opened(), pieces_of(tag(50_000), 1)) for _ in range(3))

    assert long < short * 8, "four times the bytes, sixteen times the work if it were quadratic"


HOSTILE = {
    "billion laughs": b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaa'>" + b"<!ENTITY b '&a;&a;&a;'>" * 10 + b"]>" + HEADER,
    "attributes": HEADER + b"<a" + b"".join(b" a%d=''" % n for n in range(25_000)) + b"/>",
    "declarations": HEADER + b"<a" + b"".join(b" xmlns:a%d='u%d'" % (n, n) for n in range(12_000)) + b"/>" * 2,
    "10 MB of text": HEADER + b"<a>" + b"x" * 10_000_000 + b"</a>",
    "10 MB of children": HEADER + b"<a>" + b"<b/>" * 2_500_000 + b"</a>",
    "10 MB of one tag": HEADER + b"<a b='" + b"x" * 10_000_000 + b"'/>",
    "depth": HEADER + b"<a>" * 100_000,
    "names": HEADER + b"".join(b"<x><a%d/></x>" % n for n in range(30_000)) + b"</a>",
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_an_attack_gets_its_error_in_bounded_time_and_memory(attack: str) -> None:
    parser = StreamParser()
    data = HOSTILE[attack]
    tracemalloc.start()
    try:
        started = time.thread_time()
        error = None
        for piece in pieces_of(data, 16_384):
            _, error = all_of(parser, piece)
            if error is not None:
                break
        spent = time.thread_time() - started
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert error is not None or attack == "declarations"
    assert spent < 20
    assert peak < 24_000_000


def test_names_are_not_remembered_for_ever() -> None:
    parser = opened()
    stanzas = [b"<x><n%07d/></x>" % n for n in range(60_000)]
    tracemalloc.start()
    try:
        for stanza in stanzas[:20_000]:
            list(parser.feed(stanza))
        early, _ = tracemalloc.get_traced_memory()
        for stanza in stanzas[20_000:]:
            list(parser.feed(stanza))
        late, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert late < early + 2_000_000
