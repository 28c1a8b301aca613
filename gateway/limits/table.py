"""What is remembered of everybody who may be many: bounded, and forgotten when it says nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Record(Protocol):
    """Something about one address or account."""

    users: int
    """who have it in hand: it is not forgotten meanwhile"""

    def says_nothing(self, now: float) -> bool:
        """A new one would be the same."""


R = TypeVar("R", bound=Record)


class Table(Generic[R]):
    """Records by key, made when they are first asked for. Beyond `most` those that nobody has in hand go, the oldest
    first: somebody with many addresses gets a fresh record by that, but no memory of ours.
    """

    def __init__(self, make: Callable[[float], R], *, most: int, clock: Callable[[], float]) -> None:
        self._make = make
        self._most = most
        self._clock = clock
        self._records: dict[str, R] = {}

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> R:
        """The record of `key`."""
        record = self._records.get(key)
        if record is None:
            if len(self._records) >= self._most:
                self.tidy()
            record = self._records[key] = self._make(self._clock())
        return record

    def tidy(self) -> None:
        """Forget what says nothing; then, should there still be too much, what nobody has in hand."""
        now = self._clock()
        free = [key for key, record in self._records.items() if not record.users]
        for key in free:
            if self._records[key].says_nothing(now):
                del self._records[key]
        too_many = len(self._records) - self._most * 3 // 4
        for key in free if too_many > 0 else ():
            if too_many > 0 and self._records.pop(key, None) is not None:
                too_many -= 1
