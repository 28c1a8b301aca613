"""When is a child that died started again?"""

from __future__ import annotations

from typing import Final

STEADY_S: Final = 1.0
"""A child that served for so long died of something else than its start."""

AT_ONCE: Final = 3
FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 10.0


class Backoff:
    """At once, unless it died at its start again and again; then after growing delays."""

    def __init__(self) -> None:
        self._quick_deaths = 0

    def died(self, served_s: float) -> float:
        """Seconds to wait before the next start; `served_s` is how long it had been ready (0 if it never was)."""
        if served_s >= STEADY_S:
            self._quick_deaths = 0
            return 0.0
        self._quick_deaths += 1
        if self._quick_deaths <= AT_ONCE:
            return 0.0
        delay: float = FIRST_DELAY_S * 2 ** (self._quick_deaths - AT_ONCE - 1)
        return min(LONGEST_DELAY_S, delay)
