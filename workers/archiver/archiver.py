"""One round of the archiver, and the loop of rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

import gevent
from gevent.event import Event

from gateway.archive.errors import ArchiveError, ArchiveRefused
from gateway.mailbox import keys
from gateway.mailbox.archive_moves import ArchiveMoves
from gateway.mailbox.errors import StoreCorrupt, StoreError, StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.telemetry import get_logger
from workers.archiver.mover import Mover
from workers.archiver.retention import Retention

log = get_logger(__name__)

STOP_S: Final = 3.0
"""how long a stop waits for the round that is under way; cut off, it leaves nothing half done"""

RETENTION_S: Final = 3600.0
"""between two looks at all archives for what has expired"""


class Archiver:
    """Works off every bucket again and again. A journal that is not connected is waited for."""

    def __init__(
        self,
        journal: Journal,
        moves: ArchiveMoves,
        mover: Mover,
        retention: Retention,
        *,
        interval_s: float,
        retention_s: float = RETENTION_S,
    ) -> None:
        self._journal = journal
        self._moves = moves
        self._mover = mover
        self._retention = retention
        self._interval_s = interval_s
        self._retention_s = retention_s
        self._pruned_at: float | None = None
        self._stopping = Event()
        self._runner: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._runner = gevent.spawn(self._run)

    def stop(self) -> None:
        """End after the account that is under way, or in the middle of it if it takes too long."""
        self._stopping.set()
        if self._runner is not None:
            self._runner.join(STOP_S)
            self._runner.kill(timeout=1)
            self._runner = None

    def round(self, *, prune: bool = True) -> None:
        """Do once what there is to do. Raises StoreError, ArchiveError when nothing more can be done now."""
        count = 0
        for bucket in range(keys.BUCKETS):
            # First what was removed: it is what somebody wanted gone.
            for user, upto in list(self._moves.removed(bucket)):
                if self._retention.erase_removed(user, upto):
                    log.info("archive_erased")
            count += self._each(self._mover.move, self._moves.due(bucket))
            if prune:
                self._each(self._retention.prune, self._moves.due(bucket, everybody=True))
        if not self._stopping.is_set():
            self._moves.finished(count, int(time.time() * 1000))

    def _each(self, work: Callable[[str], int | None], users: Iterable[str]) -> int:
        """What was done for each, in sum."""
        count = 0
        for user in users:
            if self._stopping.is_set():
                break
            try:
                count += work(user) or 0
            except (StoreCorrupt, ArchiveRefused) as error:
                # One account's broken data must not keep others from their turn.
                log.error("archive_not_moved", user=user, error=str(error))
        return count

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._journal.wait_up(self._interval_s)
                began = time.monotonic()
                is_due = self._pruned_at is None or began - self._pruned_at >= self._retention_s
                self.round(prune=is_due)
                if is_due:
                    self._pruned_at = began
            except StoreUnavailable:
                pass  # the journal has told the log; it connects again by itself
            except (StoreError, ArchiveError) as error:
                log.error("round_incomplete", error=str(error))
            except Exception:  # the top of a greenlet: whatever it was, archives must go on to be moved
                log.exception("round_failed")
            self._stopping.wait(self._interval_s)
