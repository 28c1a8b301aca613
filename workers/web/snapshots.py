"""The overview of the store for everybody who asks at the same moment: it is taken once, and for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import gevent
from gevent.lock import RLock

from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.mailbox.overview import Overview, collect

FRESH_S = 1.0
"""an overview is shown to everybody for so long: a hundred viewers cost as much as one"""

TAKE_S = 5.0
"""how long taking one may last"""

PING_S = 2.0
"""how long Redis has to answer a ping"""


class Snapshots:
    """Overviews of one store."""

    def __init__(
        self, journal: Journal, *, components: Iterable[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._journal = journal
        self._components = tuple(components)
        self._clock = clock
        self._lock = RLock()
        self._taken_at = 0.0
        self._newest: Overview | None = None

    def ping(self) -> None:
        """Raises StoreUnavailable within PING_S unless Redis answers."""
        self._need_connection()
        self._journal.call("PING", timeout_s=PING_S)

    def newest(self) -> Overview:
        """An overview of at most FRESH_S seconds ago. Raises StoreError within TAKE_S."""
        deadline = gevent.Timeout(TAKE_S)
        with deadline:
            try:
                with self._lock:
                    return self._fresh()
            except gevent.Timeout as late:
                if late is not deadline:
                    raise
                raise StoreUnavailable(f"Redis did not answer within {TAKE_S:g} s") from None

    def _fresh(self) -> Overview:
        if self._newest is None or self._clock() - self._taken_at >= FRESH_S:
            self._need_connection()
            self._newest = collect(self._journal, time.time(), self._components)
            self._taken_at = self._clock()
        return self._newest

    def _need_connection(self) -> None:
        # The journal would keep the question until Redis is back, and one more for each time that somebody asks.
        if not self._journal.is_up:
            raise StoreUnavailable("Redis does not answer")
