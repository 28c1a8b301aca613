"""The recent part of accounts' archives, in Redis (XEP-0313), and what accounts want archived (XEP-0441).

The older part lies in SQL (`gateway.archive`). Each answer carries the marks of the same moment: ids up to `moved` are
in SQL only, ids up to `pruned` are gone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.mailbox import keys
from gateway.mailbox.archive_ids import to_number, to_text
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip

PAGE_BYTES: Final = 1_048_576
"""about so much is read, or queued, in one operation"""


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry of an archive. `peer`: the other party, a full or bare JID."""

    id: int
    peer: str
    stanza: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the recent entries. `is_end`: it has no others in the range asked for; `reached`: the id up to which it
    looked.
    """

    moved: int
    pruned: int
    entries: tuple[Kept, ...]
    reached: int = 0
    is_end: bool = True


@dataclass(frozen=True, slots=True)
class Ends:
    """Where an archive's recent part begins and ends; None: it has no entry. `now_ms`: the store's clock."""

    moved: int
    pruned: int
    first: int | None
    last: int | None
    length: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Preferences:
    """XEP-0441: `default` is always, never or roster; `listed` is JID -> always or never."""

    default: str
    listed: Mapping[str, str]


def id_of(raw: bytes) -> int:
    """An id as the library answers it."""
    number = to_number(raw.decode())
    if number is None:
        raise ValueError(f"no archive id: {raw!r}")
    return number


def ends_of(reply: Sequence[Any]) -> Ends:
    """What `archive_ends` answers."""
    moved, pruned, first, last, length, now_ms = reply
    return Ends(
        id_of(moved), id_of(pruned), id_of(first) if first else None, id_of(last) if last else None, length, now_ms
    )


def entries_of(flat: Sequence[Any]) -> tuple[Kept, ...]:
    """Entries as the library answers them: id, with, stanza, …"""
    return tuple(Kept(id_of(flat[i]), flat[i + 1].decode(), flat[i + 2]) for i in range(0, len(flat), 3))


class Archives:
    """What a gateway does with archives, besides delivering. Every method waits, and raises StoreError."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._journal: Journal = mailbox.journal
        self._limits = mailbox.limits

    def _call(self, operation: str, user: str, *arguments: bytes | str | int) -> Any:
        return self._journal.call("FCALL", function(operation), 1, keys.prefix(user), user, *arguments)

    def page(self, user: str, *, above: int, below: int, backwards: bool, most: int, peer: str = "") -> Part:
        """Recent entries with `above` < id < `below`, in order or against it; at most `most`, and about a MiB."""
        reply = self._call(
            "archive_page", user, to_text(above), to_text(below), "1" if backwards else "0", most, PAGE_BYTES, peer
        )
        return Part(id_of(reply[0]), id_of(reply[1]), entries_of(reply[4:]), id_of(reply[3]), reply[2] == b"end")

    def find(self, user: str, ids: Sequence[int]) -> Part:
        """Those of the recent entries that have one of these ids, in the order of `ids`; all of them."""
        found: tuple[Kept, ...] = ()
        looked = 0
        while True:
            reply = self._call("archive_find", user, *map(to_text, ids[looked:]))
            looked += reply[2]
            found += entries_of(reply[3:])
            if looked >= len(ids):
                return Part(id_of(reply[0]), id_of(reply[1]), found)

    def ends(self, user: str) -> Ends:
        """Where the recent part begins and ends."""
        return ends_of(self._call("archive_ends", user))

    def queue(self, grip: Grip, results: Iterable[bytes], *, low: int = 0, high: int | None = None) -> int | None:
        """Put one page's messages into the session's queue, all or none, before the answer that comes next.

        They show the client everything in (`low`, `high`], or no whole stretch if `high` is None. Answers None when
        done, else the number of messages for which there is room (0 as well when the session is no longer ours).
        """
        reply = self._journal.call(
            "FCALL", function("archive_results"), 1, grip.at, grip.sid, grip.epoch, secrets.token_hex(8), *self._limits,
            to_text(low), "" if high is None else to_text(high), *results,
        )  # fmt: skip
        if reply[0] == b"ok":
            return None
        return int(reply[1]) if reply[0] == b"full" else 0

    def preferences(self, user: str) -> Preferences:
        """What the account wants archived, or what the server does when it said nothing."""
        return _preferences(self._call("archive_prefs", user))

    def set_preferences(self, user: str, wanted: Preferences) -> Preferences:
        """Replace them; answers what holds now. At most 1,000 JIDs."""
        flat = [part for item in wanted.listed.items() for part in item]
        return _preferences(self._call("archive_set_prefs", user, wanted.default, *flat))


def _preferences(reply: Sequence[bytes]) -> Preferences:
    listed = {reply[i].decode(): reply[i + 1].decode() for i in range(1, len(reply), 2)}
    return Preferences(reply[0].decode(), dict(sorted(listed.items())))


def set_default(journal: Journal, default: str) -> None:
    """What is archived for accounts that said nothing: always, never or roster. In all buckets. Writes only what is not
    there yet: a gateway has to be able to start while Redis is full.
    """
    buckets = [keys.key(at, "archive_default") for at in keys.PREFIXES]
    known = journal.call_all([("GET", key) for key in buckets])
    to_write = [key for key, was in zip(buckets, known, strict=True) if was != default.encode()]
    journal.call_all([("SET", key, default) for key in to_write])
