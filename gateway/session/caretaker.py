"""What a gateway process does for its sessions by the clock: heartbeat, tails, silent clients. Once for all of
them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from gateway.mailbox.membership import Membership
from gateway.mailbox.node_settings import NodesSettings
from gateway.sections import LimitSettings
from gateway.session.away import LOOK_S, Patience
from gateway.session.node import Node
from gateway.session.tails import Tails, tails_period_s
from gateway.telemetry import get_logger
from gateway.xmpp.errors import StreamCondition, StreamError

log = get_logger(__name__)

SILENCE_S = 10.0
"""how often silent connections are looked at"""

PARK_AFTER_S = 20.0
"""a connection silent for so long gives its parser's memory back"""

PROBE_ANSWER_S = 60.0
"""how long a silent client has to answer before it is taken for lost"""


class Caretaker:
    """Runs the chores of one gateway process until stopped. `replaced` is called when another has taken its name."""

    def __init__(self, node: Node, membership: Membership, *, replaced: Callable[[], None]) -> None:
        self._node = node
        self._membership = membership
        self._replaced = replaced
        self._greenlets: list[gevent.Greenlet] = []
        self._tails = Tails(node.mailbox, node.registry, announce=node.router.announce)
        self._patience = Patience(node)

    def start(self) -> None:
        """Begin."""
        chores = (
            (lambda: self._node.settings.of(NodesSettings).heartbeat_s, self.beat),
            (lambda: tails_period_s(len(self._node.registry)), self.check_tails),
            (lambda: SILENCE_S, self.look_at_silence),
            (lambda: LOOK_S, self._patience.look),
        )
        self._greenlets = [gevent.spawn(self._every, period, chore) for period, chore in chores]

    def stop(self) -> None:
        """End."""
        gevent.killall(self._greenlets, timeout=1)

    @staticmethod
    def _every(period_s: Callable[[], float], chore: Callable[[], None]) -> None:
        while True:
            try:
                chore()
            except Exception:  # a chore that failed once is done again; its absence would be felt by all
                log.exception("chore_failed")
            gevent.sleep(period_s())

    def beat(self) -> None:
        """Say that this process lives."""
        journal = self._node.mailbox.journal
        if journal.is_up:
            self._membership.beat(self._replaced)

    def check_tails(self) -> None:
        """Hold what Redis has of our sessions against those that are here."""
        self._tails.check()

    def look_at_silence(self) -> None:
        """Park the parsers of idle connections; probe silent clients, and give up those that do not answer."""
        now = time.monotonic()
        idle_s = self._node.settings.of(LimitSettings).idle_timeout
        for connection in list(self._node.connections):
            silent_s = now - connection.heard_at
            if silent_s < PARK_AFTER_S:
                continue
            connection.park()
            if connection.probed_at:
                if now - connection.probed_at > PROBE_ANSWER_S and connection.counts:
                    connection.end(StreamError(StreamCondition.CONNECTION_TIMEOUT))
                elif not connection.counts and silent_s > 2 * idle_s:
                    connection.probe()
            elif silent_s > idle_s:
                connection.probe()
