"""Links that break all at once, as when a mobile network or a load balancer goes: their sessions end a few at a time.

Each of them costs little; but thousands in one turn of the event loop would keep it from everybody who is still on, and
from those who log in, for as long as all of them take.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gevent.lock import BoundedSemaphore

AT_ONCE: Final = 16
"""they share one group of the journal, and between two groups others have their turn"""

LONGEST_S: Final = 10.0
"""to wait for one's turn: when the store is slow, what holds memory and a descriptor has to go on"""


class Departures:
    """Of one gateway process."""

    def __init__(self) -> None:
        self._places = BoundedSemaphore(AT_ONCE)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """For the end of one session; waits until it is its turn."""
        has_place = self._places.acquire(timeout=LONGEST_S)
        try:
            yield
        finally:
            if has_place:
                self._places.release()
