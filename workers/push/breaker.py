"""A breaker per credential: when a provider refuses our key, or is down, nothing is sent for a while, then a probe; and
after it, what has piled up goes out slowly at first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """What the breaker does with the next push."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True)
class BreakerRules:
    """`faults`: how many server faults in a row open it. `open_s`: for how long, doubling up to `open_most_s`, but
    after server faults to `outage_most_s` only: an outage ends by itself, a refused credential does not.

    After it has closed again, `ramp_first` pushes a second are let through, twice as many every `ramp_double_s`, until
    `ramp_s` have passed: a provider that has just come back is not to be met by ten minutes' pushes at once (Google
    asks for a minute at least).
    """

    faults: int = 10
    open_s: float = 30.0
    open_most_s: float = 900.0
    outage_most_s: float = 120.0
    probe_s: float = 60.0
    """A probe without an outcome after this long counts as lost, and another may start."""

    ramp_first: float = 10.0
    ramp_double_s: float = 10.0
    ramp_s: float = 60.0

    def admitted(self, since_s: float) -> float:
        """How many pushes may have been let through this long after closing: the first second's at once, then the sum
        of what each second allows.
        """
        return self.ramp_first * (1.0 + self._doublings(since_s))

    def moment(self, number: float) -> float:
        """How long after closing the push with this number is let through: what `admitted` says, the other way."""
        seconds = 0.0
        left = number / self.ramp_first - 1.0
        rate = 1.0
        while left > rate * self.ramp_double_s and seconds < self.ramp_s:
            left -= rate * self.ramp_double_s
            seconds += self.ramp_double_s
            rate *= 2.0
        return min(self.ramp_s, seconds + max(0.0, left) / rate)

    def _doublings(self, since_s: float) -> float:
        total, rate = 0.0, 1.0
        while since_s > self.ramp_double_s:
            total += rate * self.ramp_double_s
            since_s -= self.ramp_double_s
            rate *= 2.0
        return total + rate * max(0.0, since_s)


class Breaker:
    """Not a lock: greenlets ask `wait_s()` before a push, and tell what came of it after.

    `clock` gives seconds that only grow; a test passes one of its own, and nothing here sleeps. Who is told to wait is
    told a moment of its own: while it is open, a place behind its end in the slow start that may follow. So what waits
    comes back spread over that minute, each asking once more, and not all at the same moment.
    """

    def __init__(self, rules: BreakerRules, *, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._faults = 0
        self._opened = 0
        self._until: float | None = None
        self._probe_at: float | None = None
        self._ramp_from: float | None = None
        self._let_through = 0
        self._reserved = 0
        self.reason = ""

    @property
    def state(self) -> State:
        """Closed, open, or half-open: the time is over and one probe may tell."""
        if self._until is None:
            return State.CLOSED
        return State.OPEN if self._clock() < self._until else State.HALF_OPEN

    @property
    def is_ramping(self) -> bool:
        """Closed again, but not yet at full speed?"""
        return self._ramp_from is not None and self._clock() - self._ramp_from < self._rules.ramp_s

    @property
    def why(self) -> str:
        """Why the next push has to wait, for logs."""
        return f"breaker open: {self.reason}" if self._until is not None else "slow start after an outage"

    def wait_s(self, *, may_wait: bool = True) -> float:
        """0.0 if the caller may send now (half-open: as the one probe), else seconds until asking again makes sense.

        `may_wait` False: not held back by the slow start. For calls, which are few and of no use in a minute.
        """
        if self._until is None:
            return 0.0 if self._ramp_from is None else self._ramp_wait_s(may_wait)
        now = self._clock()
        if now < self._until:
            return self._until - now + self._place()
        if self._probe_at is not None and now - self._probe_at < self._rules.probe_s:
            # Soon told by the probe; should that be lost, the next one after `probe_s` is whoever asks then.
            return min(self._rules.probe_s - (now - self._probe_at), 1.0 + self._place())
        self._probe_at = now
        return 0.0

    def worked(self) -> None:
        """The provider answered as one that is well and knows us; that it refused this one device does not matter."""
        self._faults = 0
        if self._until is None:
            return
        self._opened = 0
        self._until = self._probe_at = None
        self._ramp_from = self._clock()
        self._let_through = 0  # the places that are given out stay: who has one comes back for it
        self.reason = ""

    def faulted(self, reason: str) -> None:
        """The provider failed (5xx, no answer, no connection). So many in a row open the breaker; a failed probe does
        at once.
        """
        self._faults += 1
        if self._faults >= self._rules.faults or self.state is State.HALF_OPEN:
            self._open(reason, min(self._rules.outage_most_s, self._rules.open_most_s))

    def trip(self, reason: str) -> None:
        """The credential was refused: open now."""
        self._open(reason, self._rules.open_most_s)

    def _open(self, reason: str, most_s: float) -> None:
        """Late answers to what was sent before do not prolong it."""
        if self.state is State.OPEN:
            return
        self.reason = reason
        self._until = self._clock() + min(most_s, self._rules.open_s * 2.0 ** min(self._opened, 16))
        self._opened += 1
        self._probe_at = self._ramp_from = None
        self._let_through = self._reserved = 0

    def _ramp_wait_s(self, may_wait: bool) -> float:
        assert self._ramp_from is not None
        since = self._clock() - self._ramp_from
        if since >= self._rules.ramp_s:
            self._ramp_from = None
            return 0.0
        if not may_wait or self._let_through < self._rules.admitted(since):
            self._let_through += 1
            return 0.0
        return max(0.1, self._place() - since)

    def _place(self) -> float:
        """The next free place in the slow start, seconds after its beginning."""
        self._reserved = max(self._reserved, self._let_through) + 1
        return self._rules.moment(self._reserved)
