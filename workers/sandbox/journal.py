"""A bounded list that numbers its entries and lets a test wait for the next one."""

import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import gevent
from gevent.event import Event


class Numbered(Protocol):
    """What a journal keeps: `seq` is its place, from 1."""

    @property
    def seq(self) -> int:
        """The place."""
        ...


Entry = TypeVar("Entry", bound=Numbered)


class Journal(Generic[Entry]):
    """The newest `limit` entries, oldest first. No operation but `wait` yields."""

    def __init__(self, limit: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._last_seq = 0
        self._arrival = Event()

    def next_seq(self) -> int:
        """The number for the entry that will be appended now."""
        self._last_seq += 1
        return self._last_seq

    def append(self, entry: Entry) -> None:
        """Keep an entry, and wake who waits."""
        self._entries.append(entry)
        self._arrival.set()
        self._arrival = Event()

    def since(self, seq: int = 0, **wanted: Any) -> list[Entry]:
        """The entries numbered above `seq` whose fields equal `wanted` (token="...", provider="apns")."""
        return [entry for entry in self._newer(seq) if _fits(entry, wanted)]

    def wait(self, seq: int = 0, *, timeout_s: float, count: int = 1, **wanted: Any) -> list[Entry]:
        """Like `since`, but wait up to `timeout_s` seconds for `count` of them; returns what there is then."""
        seen, fitting = seq, 0
        with gevent.Timeout(timeout_s, False):
            while True:
                # Only what is new is looked at: a test may wait for ten thousand.
                for entry in self._newer(seen):
                    seen, fitting = entry.seq, fitting + _fits(entry, wanted)
                if fitting >= count:
                    break
                self._arrival.wait()
        return self.since(seq, **wanted)

    def _newer(self, seq: int) -> list[Entry]:
        """The entries numbered above `seq`, oldest first."""
        return list(itertools.takewhile(lambda entry: entry.seq > seq, reversed(self._entries)))[::-1]

    def forget(self) -> int:
        """Forget the entries, but go on numbering; returns how many there were."""
        forgotten = len(self._entries)
        self._entries.clear()
        return forgotten

    @property
    def last_seq(self) -> int:
        """The number of the newest entry ever, 0 if there was none."""
        return self._last_seq


def _fits(entry: Numbered, wanted: Mapping[str, Any]) -> bool:
    return all(getattr(entry, name) == value for name, value in wanted.items())
