"""The queue of those who have connected and whose negotiation has not begun: first come, first served, and only when
nobody else has anything to do.

A negotiation costs as much as hundreds of messages. Did all begin at once after an outage, all would end late, many too
late, and those who are on would feel every one. So the next begins when the event loop has come to rest: those that
have begun end first, and each soon after its beginning. What cannot begin in time is refused and comes again later,
instead of timing out with everybody else.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import gevent
from gevent.event import Event

TRICKLE_S: Final = 0.02
"""a process that is never at rest begins one so often nevertheless"""

AT_ONCE: Final = 2
"""begin together when the loop has come to rest"""


def until_idle() -> bool:
    """Wait until the event loop has nothing to do, at most `TRICKLE_S`. Answers whether it has come to rest."""
    try:
        with gevent.Timeout(TRICKLE_S):
            gevent.idle()
    except gevent.Timeout:
        return False
    return True


class LoginQueue:
    """`rest`: wait for the moment at which another may begin; answers whether there is room for more than one."""

    def __init__(self, rest: Callable[[], bool] = until_idle, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest = rest
        self._clock = clock
        self._waiting: deque[tuple[float, Event]] = deque()
        self._runner: gevent.Greenlet | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def oldest_s(self) -> float:
        """For how long the first one has waited."""
        return self._clock() - self._waiting[0][0] if self._waiting else 0.0

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for one's turn. False: it did not come within `timeout_s` seconds."""
        turn = Event()
        place = (self._clock(), turn)
        self._waiting.append(place)
        if self._runner is None:
            self._runner = gevent.spawn(self._run)
        try:
            return bool(turn.wait(timeout_s))
        finally:
            if not turn.is_set():
                self._waiting.remove(place)

    def _run(self) -> None:
        try:
            while self._waiting:
                for _ in range(AT_ONCE if self._rest() else 1):
                    if self._waiting:
                        self._waiting.popleft()[1].set()
        finally:
            self._runner = None
