"""An archive read as one, though it lies in two places (XEP-0313 section 4).

An id is in the stream in Redis, or in SQL if it is not beyond the mark that the mover raises in the same step in which
it trims the stream. Each look at Redis tells the entries and the mark of one moment; SQL is asked for what lies up to
that mark. So nothing is missed or found twice at the seam, however often it moves while a page is put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.mailbox.archive_ids import LATEST, ms_of
from gateway.mailbox.archives import PAGE_BYTES, Archives, Kept

if TYPE_CHECKING:
    from gateway.archive.store import ArchiveStore


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: `above` < id < `below`, with this party (full JID, bare JID, or "" for everybody)."""

    above: int = 0
    below: int = LATEST
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of what was wanted, in the archive's order. `is_complete`: there is nothing more on that side."""

    entries: tuple[Kept, ...]
    is_complete: bool


class Reader:
    """Reads accounts' archives. Every method waits, and raises StoreError or ArchiveError."""

    def __init__(self, archives: Archives, store: ArchiveStore) -> None:
        self._archives = archives
        self._store = store

    def page(self, user: str, wanted: Wanted, *, most: int, backwards: bool = False) -> Page:
        """The first entries that are wanted, or the last ones if `backwards`: at most `most`, and about a MiB."""
        find = self._last if backwards else self._first
        found, is_all = find(user, wanted, most + 1)
        kept, size = 0, 0
        for entry in found[:most]:
            if kept and size + len(entry.stanza) > PAGE_BYTES:
                break
            kept, size = kept + 1, size + len(entry.stanza)
        entries = found[:kept]
        return Page(tuple(reversed(entries) if backwards else entries), is_all and kept == len(found))

    def _first(self, user: str, wanted: Wanted, most: int) -> tuple[list[Kept], bool]:
        found: list[Kept] = []
        above, below, peer = wanted.above, wanted.below, wanted.peer
        while not _is_enough(found, most):
            part = self._archives.page(
                user, above=above, below=below, backwards=False, most=most - len(found), peer=peer
            )
            above, limit = max(above, part.pruned), min(below, part.moved + 1)
            if above + 1 < limit:
                older, is_end = self._store.page(
                    user, above=above, below=limit, backwards=False, most=most - len(found), peer=peer
                )
                found += older
                if not is_end:
                    above = found[-1].id
                    continue
            room = most - len(found)
            found += part.entries[:room]
            if part.is_end and len(part.entries) <= room:
                return found, True
            above = max(above, part.reached)
        return found, False

    def _last(self, user: str, wanted: Wanted, most: int) -> tuple[list[Kept], bool]:
        found: list[Kept] = []
        above, below, peer = wanted.above, wanted.below, wanted.peer
        while not _is_enough(found, most):
            part = self._archives.page(
                user, above=above, below=below, backwards=True, most=most - len(found), peer=peer
            )
            found += part.entries
            if not part.is_end:
                below = part.reached
                continue
            above, limit = max(above, part.pruned), min(below, part.moved + 1)
            if above + 1 >= limit:
                return found, True
            if len(found) < most:
                older, is_end = self._store.page(
                    user, above=above, below=limit, backwards=True, most=most - len(found), peer=peer
                )
                found += older
                if is_end:
                    return found, True
                below = found[-1].id
        return found, False

    def count(self, user: str, wanted: Wanted) -> int:
        """How many entries are wanted. Looks at each of them: only for who asks."""
        total, above = 0, wanted.above
        while True:
            part = self._archives.page(
                user, above=above, below=wanted.below, backwards=False, most=1000, peer=wanted.peer
            )
            above, limit = max(above, part.pruned), min(wanted.below, part.moved + 1)
            if above + 1 < limit:
                total += self._store.count(user, above=above, below=limit, peer=wanted.peer)
            total += len(part.entries)
            if part.is_end:
                return total
            above = max(above, part.reached)

    def find(self, user: str, ids: Sequence[int]) -> tuple[Kept, ...]:
        """The entries of these ids that are there, in the archive's order."""
        part = self._archives.find(user, ids)
        recent = {entry.id: entry for entry in part.entries}
        older = [number for number in ids if part.pruned < number <= part.moved and number not in recent]
        found = {**recent, **{entry.id: entry for entry in self._store.find(user, older)}}
        return tuple(found[number] for number in sorted(found))

    def has(self, user: str, number: int) -> bool:
        """The archive has that id."""
        part = self._archives.find(user, [number])
        return bool(part.entries) or (part.pruned < number <= part.moved and self._store.has(user, number))

    def ends(self, user: str) -> tuple[int, int] | None:
        """The first and the last id; None if the archive is empty."""
        recent = self._archives.ends(user)
        first, last = recent.first, recent.last
        if recent.pruned < recent.moved:
            older = {"above": recent.pruned, "below": recent.moved + 1}
            oldest = self._store.edge(user, **older, backwards=False)
            first = oldest if oldest is not None else first
            if last is None:
                last = self._store.edge(user, **older, backwards=True)
        return (first, last) if first is not None and last is not None else None


def time_of(entry: Kept) -> int:
    """When the entry was archived, in milliseconds since 1970."""
    return ms_of(entry.id)


def _is_enough(found: Sequence[Kept], most: int) -> bool:
    return len(found) >= most or sum(len(entry.stanza) for entry in found) > PAGE_BYTES
