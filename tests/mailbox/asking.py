"""Answers of a journal, and what its server was asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gevent.event import AsyncResult

from gateway.mailbox.journal import Journal

WAIT_S = 20.0


def a_journal(redis_url: str) -> Iterator[Journal]:
    journal = Journal(redis_url)
    journal.start()
    journal.wait_up(WAIT_S)
    yield journal
    journal.stop()


class Answers:
    """Collects answers in the order in which they come."""

    def __init__(self, expected: int) -> None:
        self.found: list[Any] = []
        self._expected = expected
        self._all: AsyncResult[bool] = AsyncResult()

    def __call__(self, answer: Any) -> None:
        self.found.append(answer)
        if len(self.found) == self._expected:
            self._all.set(True)

    def wait(self) -> list[Any]:
        self._all.get(timeout=WAIT_S)
        return self.found
