"""What a gateway process does for its sessions by the clock: heartbeat, tails, silent clients. Once for all of
them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreError
from gateway.mailbox.library import function
from gateway.mailbox.membership import Membership
from gateway.mailbox.model import Grip
from gateway.mailbox.node_settings import NodesSettings
from gateway.sections import LimitSettings
from gateway.session.away import LOOK_S, Patience
from gateway.session.node import Node
from gateway.telemetry import get_logger
from gateway.xmpp.errors import StreamCondition, StreamError

log = get_logger(__name__)

TAILS_S = 5.0
"""how late a lost notice is found"""

TAILS_PER_S = 2000
"""of so many sessions at most: of very many it is found later, or the checks of a large installation would keep its
Redis as busy as all messages do (docs/scale.md)
"""

ORPHAN_S = 4.0
"""how long a session may be ours and have no connection: one that is just beginning, or ending, has it for a moment"""

SILENCE_S = 10.0
"""how often silent connections are looked at"""

PARK_AFTER_S = 20.0
"""a connection silent for so long gives its parser's memory back"""

PROBE_ANSWER_S = 60.0
"""how long a silent client has to answer before it is taken for lost"""


def tails_period_s(sessions: int) -> float:
    """Between two checks of the tails of so many sessions."""
    return max(TAILS_S, sessions / TAILS_PER_S)


class Caretaker:
    """Runs the chores of one gateway process until stopped. `replaced` is called when another has taken its name."""

    def __init__(self, node: Node, membership: Membership, *, replaced: Callable[[], None]) -> None:
        self._node = node
        self._membership = membership
        self._replaced = replaced
        self._greenlets: list[gevent.Greenlet] = []
        self._orphans: dict[str, float] = {}
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
        """Find what lost notices would have told: queues that have grown, and sessions that are not ours any more.

        And sessions of ours that have no connection: a bind or a resumption that Redis took after its client was told
        that it had failed. Those sleep or end, or their messages would wait for nobody, and wake nobody.
        """
        journal, registry = self._node.mailbox.journal, self._node.registry
        if not journal.is_up:
            return
        started = {session.grip.sid: session for session in registry.all()}
        owned: dict[str, str] = {}
        unknown: set[str] = set()
        for at in keys.PREFIXES:
            try:
                tails = function("tails")
                flat = journal.call("FCALL", tails, 1, at, self._node.name, timeout_s=journal.answer_timeout_s)
            except StoreError as error:
                log.warning("tails_not_checked", bucket=at, error=str(error))
                if not (journal.is_sharded and journal.is_up):
                    return
                unknown.add(at)  # one slot of a cluster is not served: the others go on
                continue
            for i in range(0, len(flat), 2):
                sid = flat[i].decode()
                owned[sid] = at
                session = registry.get(sid)
                if session is not None and flat[i + 1] > session.cursor.sent:
                    session.cursor.reaches(flat[i + 1])
        for sid, session in started.items():
            if sid not in owned and session.grip.at not in unknown and registry.get(sid) is session:
                log.info("session_lost", session=sid)
                session.lost()
        now = time.monotonic()
        self._orphans = {sid: self._orphans.get(sid, now) for sid in owned if registry.get(sid) is None}
        for sid in [sid for sid, since in self._orphans.items() if now - since >= ORPHAN_S]:
            self._put_to_sleep(owned[sid], sid)

    def _put_to_sleep(self, at: str, sid: str) -> None:
        mailbox = self._node.mailbox
        epoch = mailbox.journal.call("HGET", keys.key(at, "session", sid), "epoch")
        if epoch is None or self._node.registry.get(sid) is not None:
            return
        log.warning("session_without_connection", session=sid)
        grip = Grip(at, sid, int(epoch))
        if mailbox.hibernate(grip) == "not-resumable":
            self._node.router.announce(mailbox.close(grip))

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
