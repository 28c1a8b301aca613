"""Costly requests of one account: a few at the same time, and not too many in a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import gevent
from gevent.lock import BoundedSemaphore

from gateway.errors import WakegateError
from gateway.limits.bucket import Rate, is_full, made, take
from gateway.limits.hits import Hits, Limit, Outcome
from gateway.limits.table import Table

LONGEST_WAIT_S: Final = 10.0
"""for one's turn: meanwhile nothing else is read from the connection that asks"""

MOST_ACCOUNTS: Final = 50_000


class TooManyRequests(WakegateError):
    """Not now: try again later."""

    metric = "too_many_requests"


class _Account:
    __slots__ = ("bucket", "places", "users")

    def __init__(self, rate: Rate | None, at_once: int, now: float) -> None:
        self.bucket = made(rate, now)
        self.places = BoundedSemaphore(at_once)
        self.users = 0

    def says_nothing(self, now: float) -> bool:
        return is_full(self.bucket, now)


class Turns:
    """Of one kind of request in this process: `at_once` of an account together, the next wait in the order of their
    coming.
    """

    def __init__(
        self,
        limit: Limit,
        *,
        rate: Rate | None,
        at_once: int,
        hits: Hits,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._limit = limit
        self._hits = hits
        self._clock = clock
        self._sleep = sleep
        self._accounts = Table(lambda now: _Account(rate, at_once, now), most=MOST_ACCOUNTS, clock=clock)

    @contextmanager
    def turn(self, account: str) -> Iterator[None]:
        """For the length of one request; waits. Raises TooManyRequests if that would take too long."""
        mine = self._accounts.get(account)
        mine.users += 1
        try:
            self._wait(mine)
            try:
                yield
            finally:
                mine.places.release()
        finally:
            mine.users -= 1

    def _wait(self, mine: _Account) -> None:
        wait_s = take(mine.bucket, 1, self._clock())
        if wait_s > LONGEST_WAIT_S:
            if mine.bucket is not None:
                mine.bucket.give_back(1)
            self._refuse()
        if wait_s > 0:
            self._hits.count(self._limit, Outcome.SLOWED)
            self._sleep(wait_s)
        if mine.places.acquire(blocking=False):
            return
        self._hits.count(self._limit, Outcome.SLOWED)
        if not mine.places.acquire(timeout=LONGEST_WAIT_S):
            self._refuse()

    def _refuse(self) -> None:
        self._hits.count(self._limit, Outcome.REFUSED)
        raise TooManyRequests("too many requests at once, try again later")
