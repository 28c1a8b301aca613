"""Counts what limits did, and says it in the log, for each address once in a minute."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Final

from gateway.telemetry import get_logger

log = get_logger(__name__)

QUIET_S: Final = 60.0
"""the same limit is not logged again for the same address before that"""

MOST_LINES: Final = 200
"""in `QUIET_S`; what is beyond them is counted only"""


class Limit(StrEnum):
    """Every limit that is counted, by the name under which operators see it."""

    CONNECTIONS = "connections"
    CONNECTIONS_PER_ADDRESS = "connections-per-address"
    UNAUTHENTICATED = "unauthenticated"
    UNAUTHENTICATED_PER_ADDRESS = "unauthenticated-per-address"
    HANDSHAKES_PER_ADDRESS = "handshakes-per-address"
    LOGIN_QUEUE = "login-queue"
    OVERLOAD = "overload"
    NEGOTIATION_TIME = "negotiation-time"
    AUTH_FAILURES = "auth-failures"
    FAILED_LOGINS_PER_ADDRESS = "failed-logins-per-address"
    FAILED_LOGINS_PER_ACCOUNT = "failed-logins-per-account"
    UNAUTHENTICATED_SPEED = "unauthenticated-speed"
    CONNECTION_SPEED = "connection-speed"
    ACCOUNT_SPEED = "account-speed"
    ADDRESS_SPEED = "address-speed"
    STANZA = "stanza"
    SESSIONS_PER_ACCOUNT = "sessions-per-account"
    REGISTRATIONS = "registrations"
    ARCHIVE_QUERIES = "archive-queries"
    QUOTA = "quota"


class Outcome(StrEnum):
    """What became of what was too much."""

    SLOWED = "slowed"
    """it had to wait"""
    REFUSED = "refused"
    """it got an error, and may be tried again"""
    CLOSED = "closed"
    """the connection ended"""


class Hits:
    """Of one process. `counts`: (limit, outcome) -> how often, ever."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: set[tuple[Limit, str]] = set()
        self._told_since = clock()
        self.counts: Counter[tuple[Limit, Outcome]] = Counter()

    def count(self, limit: Limit, outcome: Outcome, address: str = "") -> None:
        """Once more. `address`: the group for which it is logged."""
        self.counts[limit, outcome] += 1
        now = self._clock()
        if now - self._told_since >= QUIET_S:
            self._told.clear()
            self._told_since = now
        if len(self._told) < MOST_LINES and (limit, address) not in self._told:
            self._told.add((limit, address))
            log.warning("limit_hit", limit=str(limit), outcome=str(outcome), address=address)

    def to_json(self) -> dict[str, dict[str, int]]:
        """limit -> outcome -> how often."""
        found: dict[str, dict[str, int]] = {}
        for (limit, outcome), count in sorted(self.counts.items()):
            found.setdefault(str(limit), {})[str(outcome)] = count
        return found


@cache
def process_hits() -> Hits:
    """Those of this process: also for what is not built by `app`, such as a store of archives."""
    return Hits()
