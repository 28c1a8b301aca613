"""A bounded list that numbers its entries and lets a test wait for the next one."""

from collections import deque
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
        return [
            entry
            for entry in self._entries
            if entry.seq > seq and all(getattr(entry, name) == value for name, value in wanted.items())
        ]

    def wait(self, seq: int = 0, *, timeout_s: float, count: int = 1, **wanted: Any) -> list[Entry]:
        """Like `since`, but wait up to `timeout_s` seconds for `count` of them; returns what there is then."""
        with gevent.Timeout(timeout_s, False):
            while len(self.since(seq, **wanted)) < count:
                self._arrival.wait()
        return self.since(seq, **wanted)

    def forget(self) -> int:
        """Forget the entries, but go on numbering; returns how many there were."""
        forgotten = len(self._entries)
        self._entries.clear()
        return forgotten

    @property
    def last_seq(self) -> int:
        """The number of the newest entry ever, 0 if there was none."""
        return self._last_seq
