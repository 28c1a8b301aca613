"""How much waits for Redis, for how long, and since when Redis has said nothing: what back-pressure goes by.

Whoever makes operations out of what clients send asks `is_crowded` before it reads more from their sockets. So what
waits is bounded for the whole process, however many clients there are, and however slow or silent Redis is: the rest
waits in the senders' own send buffers.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Final

import gevent
from gevent.event import Event

from gateway.telemetry import get_logger

log = get_logger(__name__)

MOST_WAITING: Final = 2_000
"""operations; a fifth of a second of work for a healthy Redis, and a few seconds' for one that has just become slow"""

MOST_BYTES: Final = 16 * 1_048_576

BUSY: Final = 48
"""operations that wait when what somebody sends who sends little would wait for long behind them: enough for groups
that cost little each
"""

COURTEOUS_S: Final = 1.0
"""so long after the last stanza of such a one, those who send much do so in turns, and only up to BUSY"""

LATE_S: Final = 1.0
"""an operation that waits for so long: no more is asked for until Redis has caught up"""

FEW: Final = 300
"""operations that may always wait, however late Redis is: else it would be idle between two groups"""

MANY: Final = 1_000
"""operations up to which nobody takes turns if nobody sends little: with 300, groups are smaller, and a message costs
Redis a tenth more
"""

SILENT_S: Final = 3.0
"""no answer for so long: nothing new is begun that would have to wait for one"""

TOLD_EVERY_S: Final = 10.0
"""a Redis that is full is logged so often"""


class Pressure:
    """Counts what one journal was asked and what it has answered. Answers may come in another order."""

    __slots__ = (
        "_asked_at", "_courteous_until", "_heard_at", "_lost_at", "_marked_at", "_marked_by", "_room", "_taken",
        "_told_at", "_turns", "bytes", "delay_s", "refused", "waiting",
    )  # fmt: skip

    def __init__(self) -> None:
        self.waiting = 0
        """operations without an answer"""
        self.bytes = 0
        """of those, as they are sent"""
        self.delay_s = 0.0
        """how long the operation took that was looked at last: one at a time is"""
        self.refused = 0
        """operations that Redis refused because it is full"""
        self._taken = 0
        self._marked_by = 0
        self._marked_at = 0.0
        self._asked_at = self._heard_at = time.monotonic()
        self._lost_at = 0.0
        self._room = Event()
        self._turns: deque[Event] = deque()
        self._courteous_until = 0.0
        self._told_at = -TOLD_EVERY_S

    def asked(self, size: int) -> None:
        """An operation of `size` bytes was submitted."""
        if not self.waiting:
            self._asked_at = time.monotonic()
        self.waiting += 1
        self.bytes += size
        if not self._marked_by:
            self._marked_by, self._marked_at = self._taken + self.waiting, time.monotonic()

    def answered(self, size: int) -> None:
        """It has its answer, or was given up."""
        self.waiting -= 1
        self.bytes -= size
        self._taken += 1
        if self._marked_by and self._taken >= self._marked_by:
            self.delay_s, self._marked_by = time.monotonic() - self._marked_at, 0

    def heard(self) -> None:
        """Redis has answered a group of operations."""
        self._heard_at, self._lost_at = time.monotonic(), 0.0
        if not self.is_crowded:
            self._room.set()
            self._room.clear()
        self._next_turn()

    def lost(self) -> None:
        """The connection is gone, or Redis refuses everything for the moment."""
        self._lost_at = self._lost_at or time.monotonic()

    def connected(self) -> None:
        """There is a connection again. If something waits, only an answer will tell that Redis is back."""
        if not self.waiting:
            self._lost_at = 0.0

    def full(self, refused: int) -> None:
        """Redis is full: so many operations were refused."""
        self.refused += refused
        now = time.monotonic()
        if now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            log.error("redis_full", refused=self.refused, hint="messages are refused until memory is freed")

    @property
    def silent_s(self) -> float:
        """For how long Redis has answered nothing though it was asked, or has not been there; 0 if all is well."""
        now = time.monotonic()
        unanswered_s = now - max(self._asked_at, self._heard_at) if self.waiting else 0.0
        return max(unanswered_s, now - self._lost_at if self._lost_at else 0.0)

    @property
    def is_silent(self) -> bool:
        """Redis has answered nothing for so long that nobody should begin what waits for an answer."""
        return self.silent_s > SILENT_S

    @property
    def is_busy(self) -> bool:
        """What is submitted now waits behind much else."""
        return self.waiting > BUSY

    @property
    def is_calm(self) -> bool:
        """Neither operations nor their bytes are enough for anybody to wait: what is asked for each stanza."""
        return self.waiting <= BUSY and self.bytes <= MOST_BYTES

    def came_from_few(self) -> None:
        """A stanza came, while it is busy, of somebody who sends little: to be called for each."""
        self._courteous_until = time.monotonic() + COURTEOUS_S

    @property
    def goes_by_turns(self) -> bool:
        """Who has much on its way should not add to it before its turn."""
        return self.waiting > MANY or (self.waiting > BUSY and time.monotonic() < self._courteous_until)

    @property
    def is_crowded(self) -> bool:
        """Nothing more should be taken from clients before `wait_for_room` says so."""
        if self.waiting > MOST_WAITING or self.bytes > MOST_BYTES:
            return True
        return self.waiting > FEW and self._late_s > LATE_S

    @property
    def _late_s(self) -> float:
        age_s = time.monotonic() - self._marked_at if self._marked_by else 0.0
        return max(age_s, self.delay_s)

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until there is room; False after `timeout_s` seconds. Any number of greenlets may wait."""
        if not self.is_crowded:
            return True
        self._room.wait(timeout_s)
        return not self.is_crowded

    def wait_for_turn(self, timeout_s: float) -> None:
        """Wait until `goes_by_turns` ends, and all who waited earlier had their turn; or for `timeout_s` seconds."""
        turn = Event()
        self._turns.append(turn)
        try:
            turn.wait(timeout_s)
        finally:
            if not turn.is_set():
                self._turns.remove(turn)

    def _next_turn(self) -> None:
        """One after another: the next when the one before has submitted what it had, if there is room still."""
        if self._turns and not self.goes_by_turns:
            self._turns.popleft().set()
            gevent.get_hub().loop.run_callback(self._next_turn)
