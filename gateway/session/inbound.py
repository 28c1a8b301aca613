"""Stanzas on their way in: counted, and finished in the order in which they came.

Stanzas reach their mailboxes independently, but what the client is told has to be in order: an answer is appended to
the sender's queue
together with the inbound count it answers, and `h` may only cover what every earlier stanza has behind it.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from gevent.event import Event

from gateway.mailbox.model import Origin

if TYPE_CHECKING:
    from gateway.mailbox.pressure import Pressure
    from gateway.session.session import Session


MOST_ARRIVALS = 32
"""stanzas of one client that may be on their way at once; then nothing more is read from its socket"""

FAIR_SHARE = 4
"""who has more of them on its way while the store is busy sends much, and waits for its turn if others send little"""

SENT_MUCH_S = 1.0
"""for so long afterwards it is not taken for one that sends little"""


class Arrival:
    """One stanza on its way in: `router.Inbound`."""

    __slots__ = ("_answer", "count", "is_done", "is_kept", "is_refused", "session")

    def __init__(self, session: Session, count: int) -> None:
        self.session = session
        self.count = count
        self.is_done = False
        self.is_kept = False
        self.is_refused = False
        self._answer: tuple[str, bytes] | None = None

    @property
    def origin(self) -> Origin:
        """See `router.Inbound`."""
        session = self.session
        return Origin(session.origin_id, self.count, session.origin_keep_ms, session.grip, session.cursor.counts)

    def reply(self, kind: str, stanza: bytes) -> None:
        """See `router.Inbound`."""
        self._answer = (kind, stanza)
        self.settled()

    def answered(self, position: int, stanza: bytes) -> None:
        """See `router.Inbound`."""
        self.session.has_queued(position, stanza)
        self.settled()

    @property
    def may_be_taken(self) -> bool:
        """See `router.Inbound`."""
        return not self.session.arrivals.refused

    def had_no_room(self) -> None:
        """See `router.Inbound`."""
        if not self.is_refused:
            self.is_refused = True
            self.session.arrivals.refused += 1

    def kept(self) -> None:
        """See `router.Inbound`."""
        self.is_kept = True

    def fenced(self) -> None:
        """See `router.Inbound`."""
        self.session.lost()

    def settled(self) -> None:
        """See `router.Inbound`."""
        if not self.is_done:
            self.is_done = True
            self.session.arrivals.advance()

    def finish(self) -> None:
        """All earlier ones are finished: now the answer, if there is one, may be queued."""
        if self.is_refused:
            self.session.arrivals.refused -= 1
        if self._answer is not None:
            self.session.append(*self._answer, inbound=self.count)
        elif self.is_kept:
            self.session.count_is_stored(self.count)


class AckRequest:
    """An <r/>: answered when everything before it is finished."""

    __slots__ = ("count", "is_done", "session")

    def __init__(self, session: Session, count: int) -> None:
        self.session = session
        self.count = count
        self.is_done = True

    def finish(self) -> None:
        """All earlier stanzas are finished: keep h, then tell it."""
        self.session.acknowledge_inbound(self.count)


class Arrivals:
    """What came in and is not finished yet, oldest first."""

    __slots__ = ("_in_flight", "_progress", "_waiting", "finished", "many_at", "refused")

    def __init__(self, finished: int = 0) -> None:
        self._waiting: deque[Arrival | AckRequest] = deque()
        self._progress: Event | None = None
        self._in_flight = 0
        self.finished = finished
        """everything up to this inbound count is finished"""
        self.many_at = 0.0
        """when there were many of them last, by the monotonic clock"""
        self.refused = 0
        """stanzas for which the store had no room, and whose errors are not on their way to the sender yet"""

    def __len__(self) -> int:
        """Stanzas without an outcome, and answers on their way to the store: what one client makes us hold."""
        return len(self._waiting) + self._in_flight

    def add(self, item: Arrival | AckRequest) -> None:
        """It came after everything that is here."""
        self._waiting.append(item)

    def take_back(self, item: Arrival) -> None:
        """The newest one ends the stream; nothing waits for its outcome."""
        if self._waiting and self._waiting[-1] is item:
            self._waiting.pop()

    def answer_submitted(self) -> None:
        """An answer, or a count to be told, is on its way to the store."""
        self._in_flight += 1

    def answer_stored(self) -> None:
        """The store has said something about it."""
        self._in_flight -= 1
        self._tell()

    def advance(self) -> None:
        """Finish what can be finished, in order."""
        waiting = self._waiting
        session = None
        while waiting and waiting[0].is_done:
            item = waiting.popleft()
            self.finished = item.count
            session = item.session
            item.finish()
        if session is not None:
            session.keep_inbound()
        self._tell()

    def _tell(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.set()

    def wait_below(self, most: int, timeout_s: float) -> bool:
        """Wait until fewer than `most` are unfinished; False after `timeout_s` seconds. Several greenlets may wait."""
        deadline = time.monotonic() + timeout_s
        while len(self) >= most:
            progress = self._progress = self._progress or Event()
            if not progress.wait(max(0.0, deadline - time.monotonic())):
                return False
        return True


def hold_back(session: Session) -> None:
    """Return when the next stanza of this client may be looked at: when it does not make us wait for the store faster
    than the store answers, and not too much waits for the store in all.
    """
    pressure, arrivals = session.node.mailbox.journal.pressure, session.arrivals
    if pressure.is_calm and len(arrivals) <= MOST_ARRIVALS:
        return
    while not session.is_lost and not session.has_failed:
        if len(arrivals) > MOST_ARRIVALS:  # to be woken for each single one would cost as much as the stanza
            arrivals.wait_below(MOST_ARRIVALS // 2, 1.0)
        elif pressure.is_busy and _waits_for_turn(session, pressure):
            pressure.wait_for_turn(1.0)
        elif pressure.wait_for_room(1.0):
            return


def _waits_for_turn(session: Session, pressure: Pressure) -> bool:
    """In a busy store who sends much makes room for who sends little; if nobody does, all go as fast as they can."""
    arrivals, now = session.arrivals, time.monotonic()
    if len(arrivals) > session.fair_share:
        arrivals.many_at = now
        return pressure.goes_by_turns
    if now - arrivals.many_at > SENT_MUCH_S:
        pressure.came_from_few()
    return False
