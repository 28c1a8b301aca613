"""One round of the sweeper, and the loop of rounds."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
from gevent.event import Event

from gateway.mailbox import keys, nodes
from gateway.mailbox.errors import StoreCorrupt, StoreError, StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.notices import publish_entries
from gateway.telemetry import get_logger
from workers.sweeper.bounces import Bouncer
from workers.sweeper.leases import Leases

log = get_logger(__name__)

INTERVAL_S = 0.5
"""between the end of a round and the next: how late a deadline is noticed"""

STOP_S = 2.0
"""how long a stop waits for the round that is under way; cut off, it leaves nothing half done"""


class Sweeper:
    """Sweeps every bucket again and again.

    A journal that is not connected is waited for. `leases` tell which nodes are dead.
    """

    def __init__(self, journal: Journal, sweep: Sweep, bouncer: Bouncer, leases: Leases) -> None:
        self._journal = journal
        self._sweep = sweep
        self._bouncer = bouncer
        self._leases = leases
        self._stopping = Event()
        self._runner: gevent.Greenlet | None = None
        # Called before the first answer on a new connection is read, so no lease is counted over the gap.
        journal.on_reconnect = leases.restart

    def start(self) -> None:
        """Begin; returns at once."""
        self._runner = gevent.spawn(self._run)

    def stop(self) -> None:
        """End after the round that is under way, or in the middle of it if it takes too long."""
        self._stopping.set()
        if self._runner is not None:
            self._runner.join(STOP_S)
            self._runner.kill(timeout=1)
            self._runner = None

    def round(self) -> None:
        """Do once what there is to do. Raises StoreError when a part of it was not possible; the rest is done."""
        failed = self._everywhere(self._sweep_bucket)
        heartbeats, dead = nodes.heartbeats(self._journal), nodes.declared_dead(self._journal)
        for node in sorted(dead | self._leases.look(heartbeats, time.monotonic())):
            failed += self._reap(node)
        if failed:
            raise failed[0]

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._journal.wait_up(INTERVAL_S)
                self.round()
            except StoreUnavailable as error:
                if self._journal.is_sharded and self._journal.is_up:  # one slot of a cluster is not served
                    log.warning("round_incomplete", error=str(error))
                else:
                    self._leases.restart()  # the journal has told the log; it connects again by itself
            except StoreError as error:
                log.error("round_incomplete", error=str(error))
            except Exception:  # the top of a greenlet: whatever it was, deadlines must go on
                log.exception("round_failed")
            self._stopping.wait(INTERVAL_S)

    def _sweep_bucket(self, bucket: int) -> None:
        chores = self._sweep.chores(bucket)
        for work, names in (
            (self._expire, chores.expired),
            (self._last_call, chores.last_calls),
            (self._finish, chores.unfinished),
            (self._bouncer.fade, chores.fading),
            (self._bouncer.pick_up, chores.transferring),
        ):
            for name in names:
                try:
                    work(bucket, name)
                except StoreCorrupt as error:  # one session's broken data must not keep others from their end
                    log.error("session_not_swept", session=name, error=str(error))
        self._bouncer.empty(bucket)

    def _expire(self, bucket: int, sid: str) -> None:
        placed = self._sweep.expire(bucket, sid)
        if placed is not None:
            log.info("session_expired", session=sid)
            publish_entries(self._journal, placed)

    def _last_call(self, bucket: int, sid: str) -> None:
        if self._sweep.last_call(bucket, sid):
            log.info("last_call", session=sid)

    def _finish(self, bucket: int, sid: str) -> None:
        publish_entries(self._journal, self._sweep.finish(bucket, sid))

    def _reap(self, node: str) -> list[Exception]:
        """Hibernate what a dead node owned. It is forgotten after that: a killed sweeper's work goes on elsewhere."""
        counts: list[int] = []
        failed = self._everywhere(lambda bucket: counts.append(self._sweep.reap(bucket, node)))
        if not failed:
            nodes.forget(self._journal, node)
            log.warning("node_reaped", node=node, sessions=sum(counts))
        return failed

    def _everywhere(self, work: Callable[[int], None]) -> list[Exception]:
        """Do `work` in all buckets at once: the journal makes one pipeline of what they ask at the same time.

        A failure in one bucket does not keep the others from their turn; answers all failures.
        """
        running = [gevent.spawn(_outcome, work, bucket) for bucket in range(keys.BUCKETS)]
        try:
            gevent.joinall(running)
            return [greenlet.value for greenlet in running if greenlet.value is not None]
        finally:
            gevent.killall(running, block=False)  # this greenlet was killed while it waited


def _outcome(work: Callable[[int], None], bucket: int) -> Exception | None:
    try:
        work(bucket)
    except Exception as error:  # noqa: BLE001 - the top of a greenlet: whoever joins it sees what it answers
        return error
    return None
