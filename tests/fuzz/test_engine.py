"""The engine of our own finds what a few hundred blind tries would not."""

from __future__ import annotations

import time

import pytest

from gateway.xmpp.rsm import read as read_page
from tests.fuzz import loop
from tests.fuzz.fault import TooSlow, in_time, is_fault, smallest
from tests.fuzz.mutate import Mutator


def fragile(data: bytes) -> None:
    """Breaks on <x><y/>, which is in no seed."""
    if b"<x>" in data and b"<y/>" in data.partition(b"<x>")[2]:
        raise KeyError("planted")


def test_a_planted_fault_is_found_and_cut_to_what_it_needs() -> None:
    run = loop.explore(fragile, [b"<a><y/></a>", b"<x>text</x>"], [b"<x>"], seconds=20, most_bytes=200, seed=1)

    assert run.fault is not None
    data, error = run.fault
    assert "planted" in str(error)
    assert b"<x><y/>" == smallest(fragile, data, error)


def test_an_input_that_leads_to_new_lines_is_kept() -> None:
    def feed(data: bytes) -> None:
        read_page(
            {"http://jabber.org/protocol/rsm|set": {"http://jabber.org/protocol/rsm|max": data.decode("latin-1")}}
        )

    def refused(data: bytes) -> None:
        is_fault(feed, data)

    run = loop.explore(refused, [b"5", b"5", b"x"], [], seconds=0.5, most_bytes=10, seed=1)

    assert run.inputs[:2] == [b"5", b"x"]
    assert [b"5", b"x"] == sorted(loop.chosen(refused, [b"5", b"55", b"x", b"xx"], most=10, most_bytes=10))


def test_what_does_not_end_is_a_fault() -> None:
    def feed(data: bytes) -> None:
        while data:
            time.sleep(0)

    with pytest.raises(TooSlow), in_time(0.05):
        feed(b"x")
    assert None is is_fault(feed, b"")


def test_the_same_seed_makes_the_same_changes() -> None:
    def changes(seed: int) -> list[bytes]:
        mutator = Mutator([b"<a x='1'/>", b"<b>5</b>"], [b"word"], most_bytes=100, seed=seed)
        return [mutator.next() for _ in range(50)]

    assert changes(7) == changes(7)
    assert changes(7) != changes(8)
    assert 100 >= max(map(len, changes(7)))
