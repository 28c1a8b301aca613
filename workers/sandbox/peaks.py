"""The most that happened within a minute: what tells a storm of connections from a pool."""

from collections import deque

MINUTE_S = 60.0
LIMIT = 100_000


class Peak:
    """Counts events in a window of a minute, and remembers the fullest window there was."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=LIMIT)
        self.highest = 0

    def note(self, now: float) -> None:
        """One event at `now`, in seconds that only grow."""
        while self._times and self._times[0] <= now - MINUTE_S:
            self._times.popleft()
        self._times.append(now)
        self.highest = max(self.highest, len(self._times))

    def clear(self) -> None:
        """Forget everything."""
        self._times.clear()
        self.highest = 0
