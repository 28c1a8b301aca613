"""How busy the process is: by how much its greenlets run late, and how much the store owes it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

BEAT_S: Final = 0.25
"""between two looks"""

LOOKS: Final = 8
"""so many looks in a row have to agree: a garbage collection, or a pause of the machine, is no overload"""


class Load:
    """`waiting`: operations that the store has not answered. Too much is more than `most_lag_s` seconds late, or more
    than `most_waiting` operations, for `LOOKS` looks in a row; it is over as soon as one look finds less than half.
    """

    def __init__(
        self,
        *,
        most_lag_s: float,
        most_waiting: int,
        waiting: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_lag_s = most_lag_s
        self._most_waiting = most_waiting
        self._waiting = waiting
        self._clock = clock
        self._seen: deque[float] = deque(maxlen=LOOKS)
        self._due = 0.0
        self.is_high = False
        self.lag_s = 0.0
        """the worst of the last looks"""
        self._lags: deque[float] = deque(maxlen=LOOKS)

    def look(self) -> float:
        """One look. Answers how long to sleep until the next."""
        now = self._clock()
        late_s = max(0.0, now - self._due) if self._due else 0.0
        self._due = now + BEAT_S
        self._lags.append(late_s)
        self.lag_s = max(self._lags)
        self._seen.append(self._pressure(late_s))
        if self.is_high:
            self.is_high = self._seen[-1] >= 0.5
        else:
            self.is_high = len(self._seen) == LOOKS and min(self._seen) > 1.0
        return BEAT_S

    def _pressure(self, late_s: float) -> float:
        """1.0 is as much as may be."""
        lag = late_s / self._most_lag_s if self._most_lag_s else 0.0
        owed = self._waiting() / self._most_waiting if self._most_waiting else 0.0
        return max(lag, owed)
