"""The rules about pushes: whoever sleeps is woken for what came, and nobody who is back is disturbed.

Pushes are delayed by what strikes their workers and their store, so each rule leaves time for that: a worker's death is
noticed after six seconds, a pause ends when it ends, a gateway that hangs loses its lease after ten.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from scripts.chaos_lab import history as told
from scripts.chaos_lab.ledger import Book, Ledger

WOKEN_WITHIN_S = 25.0
"""beside the time for which something held the pushes up"""

AFTER_S = {"push": 10.0, "redis": 5.0, "gateway": 15.0, "sweeper": 5.0}
"""for so long after a blow (or the end of a pause) a push may still be one of before"""


NOTICES_S = 1.0
"""A device may see the end of its link so much later than the server had it woken: the session sleeps first, and the
link ends when Redis has said so. How long Redis was away in between does not count.
"""


def push_faults(ledger: Ledger) -> Iterator[tuple[str, int, float, str]]:
    """(rule, device, when, what) for each breach."""
    held_up = hold_ups(ledger.strikes)
    waited = _waited(ledger)
    for book in ledger.books.values():
        if book.device.token:
            yield from _not_woken(book, waited.get(book.device.device, []), held_up)
            yield from _needless(book, held_up, ledger.run.push_grace_s)


def hold_ups(strikes: list[told.Struck]) -> list[tuple[float, float]]:
    """When pushes may have been delayed. A gateway that dies takes nothing with it, one that hangs does."""
    found = []
    for strike in strikes:
        kind = strike.whom.partition(".")[0]
        is_pause = strike.what.startswith("pause")
        if kind in AFTER_S and (is_pause or kind in ("push", "redis")):
            found.append((strike.at, strike.until + AFTER_S[kind]))
    return sorted(found)


def _waited(ledger: Ledger) -> dict[int, list[tuple[float, float]]]:
    """By device: when a message was taken, and when it came."""
    found: dict[int, list[tuple[float, float]]] = {}
    for message in ledger.messages.values():
        if message.is_taken:
            for reception in message.came:
                if not reception.is_own and ledger.books[reception.device].device.token:
                    found.setdefault(reception.device, []).append((message.taken_at, reception.at))
    return found


def _not_woken(
    book: Book, waited: list[tuple[float, float]], held_up: list[tuple[float, float]]
) -> Iterator[tuple[str, int, float, str]]:
    """Rule 11: only who looked without a push can have found something that nobody woke it for."""
    for start, end, why in book.sleeps:
        if why == "push":
            continue
        found = [taken for taken, came in waited if came >= end and taken < end]
        if not found:
            continue
        since = max(start, min(found))
        if end - since - _delay_s(held_up, since, end) > WOKEN_WITHIN_S:
            what = f"slept until {end:.3f} though a message had been there since {since:.3f}, and no push came"
            yield "asleep", book.device.device, end, what


def _needless(book: Book, held_up: list[tuple[float, float]], grace_s: float) -> Iterator[tuple[str, int, float, str]]:
    """Rule 12."""
    starts = [start for start, _ in book.online]
    for at in sorted(book.pushes):
        number = bisect_right(starts, at) - 1
        if number < 0:
            continue
        start, end = book.online[number]
        if at <= start + grace_s or any(begin <= at <= until for begin, until in held_up):
            continue
        if end - at - _delay_s(held_up, at, end) > NOTICES_S:
            what = f"a push was accepted at {at:.3f}, {at - start:.1f} s after the device was back"
            yield "needless", book.device.device, at, what


def _delay_s(held_up: list[tuple[float, float]], since: float, until: float) -> float:
    """For how long of this time something held the pushes up."""
    total, counted = 0.0, since
    for begin, end in held_up:
        begin, end = max(begin, counted), min(end, until)
        if end > begin:
            total += end - begin
            counted = end
    return total
