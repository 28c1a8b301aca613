"""What Redis has of this process's sessions, held against those that are here. Once in a while, for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreError
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip, Placed
from gateway.session.node import Registry
from gateway.telemetry import get_logger

log = get_logger(__name__)

TAILS_S = 5.0
"""how late a lost notice is found"""

TAILS_PER_S = 2000
"""of so many sessions at most: of very many it is found later, or the checks of a large installation would keep its
Redis as busy as all messages do (docs/scale.md)
"""

ORPHAN_S = 4.0
"""how long a session may be ours and have no connection: one that is just beginning, or ending, has it for a moment"""


def tails_period_s(sessions: int) -> float:
    """Between two checks of the tails of so many sessions."""
    return max(TAILS_S, sessions / TAILS_PER_S)


class Tails:
    """Finds what lost notices would have told, and sessions of which only one side knows.

    `announce` is told what `close` moved elsewhere.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        registry: Registry,
        *,
        announce: Callable[[tuple[Placed, ...]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mailbox = mailbox
        self._registry = registry
        self._announce = announce
        self._clock = clock
        self._orphans: dict[Grip, float] = {}

    def check(self) -> None:
        """Find queues that have grown, and sessions that are not ours any more.

        And sessions of ours that have no connection: a bind or a resumption that Redis took after its client was told
        that it had failed. Those sleep or end, or their messages would wait for nobody, and wake nobody.
        """
        journal, registry = self._mailbox.journal, self._registry
        if not journal.is_up:
            return
        started = {session.grip.sid: session for session in registry.all()}
        owned: set[str] = set()
        unknown: set[str] = set()
        now = self._clock()
        orphans: dict[Grip, float] = {}
        for at in keys.PREFIXES:
            try:
                tails = function("tails")
                flat = journal.call("FCALL", tails, 1, at, self._mailbox.node, timeout_s=journal.answer_timeout_s)
            except StoreError as error:
                log.warning("tails_not_checked", bucket=at, error=str(error))
                if not (journal.is_sharded and journal.is_up):
                    return
                unknown.add(at)  # one slot of a cluster is not served: the others go on
                continue
            for i in range(0, len(flat), 3):
                sid = flat[i].decode()
                owned.add(sid)
                session = registry.get(sid)
                if session is None:
                    grip = Grip(at, sid, int(flat[i + 2]))
                    orphans[grip] = self._orphans.get(grip, now)
                elif flat[i + 1] > session.cursor.sent:
                    session.cursor.reaches(flat[i + 1])
        for sid, session in started.items():
            if sid not in owned and session.grip.at not in unknown and registry.get(sid) is session:
                log.info("session_lost", session=sid)
                session.lost()
        self._orphans = orphans
        for grip in [grip for grip, since in orphans.items() if now - since >= ORPHAN_S]:
            self._put_to_sleep(grip)

    def _put_to_sleep(self, grip: Grip) -> None:
        """Under the epoch that had no connection: whoever has resumed the session since has another."""
        if self._registry.get(grip.sid) is not None:
            return
        answer = self._mailbox.hibernate(grip)
        if answer == "stale":
            return
        log.warning("session_without_connection", session=grip.sid)
        if answer == "not-resumable":
            self._announce(self._mailbox.close(grip))
