"""A breaker per credential: when a provider refuses our key, or is down, nothing is sent for a while, then a probe."""

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
    """`faults`: how many server faults in a row open it. `open_s`: for how long, doubling up to `open_most_s`."""

    faults: int = 10
    open_s: float = 30.0
    open_most_s: float = 900.0
    probe_s: float = 60.0
    """A probe without an outcome after this long counts as lost, and another may start."""


class Breaker:
    """Not a lock: greenlets ask `wait_s()` before a push, and tell what came of it after."""

    def __init__(self, rules: BreakerRules, *, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._faults = 0
        self._opened = 0
        self._until: float | None = None
        self._probe_at: float | None = None
        self.reason = ""

    @property
    def state(self) -> State:
        """Closed, open, or half-open: the time is over and one probe may tell."""
        if self._until is None:
            return State.CLOSED
        return State.OPEN if self._clock() < self._until else State.HALF_OPEN

    def wait_s(self) -> float:
        """0.0 if the caller may send now (half-open: as the one probe), else seconds until asking again makes sense."""
        state = self.state
        if state is State.CLOSED:
            return 0.0
        now = self._clock()
        if state is State.OPEN:
            assert self._until is not None
            return self._until - now
        if self._probe_at is not None and now - self._probe_at < self._rules.probe_s:
            return self._rules.probe_s - (now - self._probe_at)
        self._probe_at = now
        return 0.0

    def worked(self) -> None:
        """The provider answered as one that is well and knows us; that it refused this one device does not matter."""
        self._faults = self._opened = 0
        self._until = self._probe_at = None
        self.reason = ""

    def faulted(self, reason: str) -> None:
        """The provider failed (5xx, no answer, no connection). So many in a row open the breaker; a failed probe does
        at once.
        """
        self._faults += 1
        if self._faults >= self._rules.faults or self.state is State.HALF_OPEN:
            self.trip(reason)

    def trip(self, reason: str) -> None:
        """The credential was refused: open now. Late answers to what was sent before do not prolong it."""
        if self.state is State.OPEN:
            return
        self.reason = reason
        self._until = self._clock() + min(self._rules.open_most_s, self._rules.open_s * 2.0 ** min(self._opened, 16))
        self._opened += 1
        self._probe_at = None
