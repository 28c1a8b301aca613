"""Keeps the limits of a gateway process: looks how busy it is, and tells operators what was limited."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from gateway.limits.process import Limits
from gateway.mailbox.journal import Journal
from gateway.mailbox.limit_reports import LimitReport, report
from gateway.telemetry import get_logger

log = get_logger(__name__)

LOOK_S = 1.0
"""how soon operators see that a limit was hit"""

REPORT_S = 10.0
"""between two reports if none was"""


class Watch:
    """Of one process, by the name of its node."""

    def __init__(self, limits: Limits, journal: Journal, node: str) -> None:
        self._limits = limits
        self._journal = journal
        self._node = node
        self._greenlets: list[gevent.Greenlet] = []

    def start(self) -> None:
        """Begin."""
        self._greenlets = [gevent.spawn(self._lasting, work) for work in (self._limits.run, self._report)]

    def stop(self) -> None:
        """End."""
        gevent.killall(self._greenlets, timeout=1)

    @staticmethod
    def _lasting(work: Callable[[], None]) -> None:
        while True:
            try:
                work()
            except Exception:  # top of a greenlet: without it nobody would see an overload any more
                log.exception("watch_failed")
                gevent.sleep(1)

    def _report(self) -> None:
        told, told_at = 0, -REPORT_S
        while True:
            hits, now = self._limits.hits.counts.total(), self._limits.clock()
            if self._journal.is_up and (hits != told or now - told_at >= REPORT_S):
                report(self._journal, self._node, self.found())
                told, told_at = hits, now
            gevent.sleep(LOOK_S)

    def found(self) -> LimitReport:
        """As it is now."""
        limits = self._limits
        return LimitReport(
            hits=limits.hits.to_json(),
            connections=limits.connections,
            unauthenticated=limits.unauthenticated,
            queued=len(limits.queue),
            lag_ms=int(limits.load.lag_s * 1000),
            is_busy=limits.load.is_high,
        )
