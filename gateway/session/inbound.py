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
    from gateway.session.session import Session


class Arrival:
    """One stanza on its way in: `router.Inbound`."""

    __slots__ = ("_answer", "count", "is_done", "session")

    def __init__(self, session: Session, count: int) -> None:
        self.session = session
        self.count = count
        self.is_done = False
        self._answer: tuple[str, bytes] | None = None

    @property
    def origin(self) -> Origin:
        """See `router.Inbound`."""
        return Origin(self.session.origin_id, self.count, self.session.origin_keep_ms)

    def reply(self, kind: str, stanza: bytes) -> None:
        """See `router.Inbound`."""
        self._answer = (kind, stanza)
        self.settled()

    def settled(self) -> None:
        """See `router.Inbound`."""
        if not self.is_done:
            self.is_done = True
            self.session.arrivals.advance()

    def finish(self) -> None:
        """All earlier ones are finished: now the answer, if there is one, may be queued."""
        if self._answer is not None:
            self.session.append(*self._answer, inbound=self.count)


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

    __slots__ = ("_progress", "_waiting", "finished")

    def __init__(self, finished: int = 0) -> None:
        self._waiting: deque[Arrival | AckRequest] = deque()
        self._progress: Event | None = None
        self.finished = finished
        """everything up to this inbound count is finished"""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Arrival | AckRequest) -> None:
        """It came after everything that is here."""
        self._waiting.append(item)

    def advance(self) -> None:
        """Finish what can be finished, in order."""
        waiting = self._waiting
        while waiting and waiting[0].is_done:
            item = waiting.popleft()
            self.finished = item.count
            item.finish()
        if self._progress is not None:
            self._progress.set()

    def wait_below(self, most: int, timeout_s: float) -> bool:
        """Wait until fewer than `most` are unfinished; False after `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        self._progress = Event()
        try:
            while len(self._waiting) >= most:
                self._progress.clear()
                if not self._progress.wait(deadline - time.monotonic()):
                    return False
            return True
        finally:
            self._progress = None
