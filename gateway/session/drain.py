"""A gateway that stops lets its clients go: in waves while others are there to take them, with what each understands.

A session that can be resumed is left without a word, after its last <a/>: for its client that is a lost link, and every
client resumes after one at once. A stream error would cost more than it tells: RFC 6120 section 4.9.1.1 calls all of
them unrecoverable, so clients forget the session (aioxmpp), or wait for longer before they come back. Who cannot resume
anything is told `system-shutdown`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import gevent
from gevent.event import Event

from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.node_settings import NodesSettings
from gateway.session.connection import Connection
from gateway.session.node import Node
from gateway.telemetry import get_logger
from gateway.xmpp.errors import SeeOtherHost, StreamCondition, StreamError

log = get_logger(__name__)

STEP_S = 0.05
"""between two groups of clients that are let go"""

LAST_S = 10.0
"""how long the end waits for the last sessions to be put to sleep"""

STORE_AWAY_S = 2.0
"""how long a drain waits for a Redis that is gone, as when one signal or the death of their parent ends both"""


class Drain:
    """Ends every connection of one process. `in_waves`: there are others to which the clients will go. `hurry` is set
    when whoever waits for the end has no time for waves.
    """

    def __init__(self, node: Node, *, in_waves: bool, hurry: Event) -> None:
        self._node = node
        self._settings = node.settings.of(NodesSettings)
        self._in_waves = in_waves
        self._hosts = itertools.cycle(self._settings.see_other_host)
        self._told: set[Connection] = set()
        self._hurry = hurry

    def run(self) -> None:
        """Return when all are gone. Raises StoreUnavailable when Redis is away, or some are left after the last
        seconds: a sweeper will find their sessions.
        """
        connections = self._node.connections
        log.info("drain_began", connections=len(connections), waves=self._in_waves)
        for due in self._pace(len(connections)):
            waiting = [one for one in connections if one not in self._told]
            for connection in waiting[: max(0, due - len(self._told))]:
                self._let_go(connection)
            if len(waiting) <= due - len(self._told):
                break
            self._wait()
        deadline = time.monotonic() + LAST_S
        while connections:
            for connection in list(connections):  # again, for those that were about to bind
                self._let_go(connection)
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"{len(connections)} sessions could not be put to sleep in {LAST_S:g} s")
            self._wait()

    def _pace(self, size: int) -> Iterator[int]:
        """How many may have been let go, step by step. Ends when all may go."""
        most_s = self._settings.drain_time
        if not self._in_waves or most_s == 0:
            return
        rate = max(self._settings.drain_rate, size / most_s)
        started = time.monotonic()
        while not self._hurry.is_set() and (passed_s := time.monotonic() - started) < most_s:
            yield int(passed_s * rate) + 1

    def _let_go(self, connection: Connection) -> None:
        if connection not in self._told:
            self._told.add(connection)
            connection.end(self._goodbye(connection))

    def _goodbye(self, connection: Connection) -> StreamError | None:
        session = connection.session
        if session is None:
            return StreamError(StreamCondition.SYSTEM_SHUTDOWN)
        if self._settings.see_other_host and session.jid.local:  # a component was configured to come here
            return SeeOtherHost(next(self._hosts))
        return None if session.is_resumable else StreamError(StreamCondition.SYSTEM_SHUTDOWN)

    def _wait(self) -> None:
        self._hurry.wait(STEP_S) if not self._hurry.is_set() else gevent.sleep(STEP_S)
        if self._node.mailbox.journal.pressure.silent_s > STORE_AWAY_S:
            raise StoreUnavailable("Redis is away")
