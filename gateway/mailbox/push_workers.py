"""What each push worker says of itself every few seconds: numbers and states, by which operators see how it stands with
their providers. Redis' clock alone says how old that is.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal

ALIVE_S: Final = 20.0
"""who has said nothing for longer is gone, or cut off"""

KEPT_S: Final = 3600

# KEYS[1] hash, worker -> ms, space, report (JSON)   ARGV worker, report, ms after which others are forgotten, s to keep
_REPORT: Final = """#!lua flags=allow-oom
    local time = redis.call('TIME')
    local now, key = time[1] * 1000 + math.floor(time[2] / 1000), KEYS[1]
    redis.call('HSET', key, ARGV[1], string.format('%.0f %s', now, ARGV[2]))
    local all = redis.call('HGETALL', key)
    for i = 1, #all, 2 do
      if tonumber(string.match(all[i + 1], '^%d+')) < now - tonumber(ARGV[3]) then redis.call('HDEL', key, all[i]) end
    end
    redis.call('EXPIRE', key, ARGV[4])
    return 1
"""


# By the clock of the server that has them.
_ALL: Final = """#!lua flags=no-writes
    return { redis.call('TIME'), redis.call('HGETALL', KEYS[1]) }
"""


class CredentialReport(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with one credential. `apps`: who uses it. `breakers`: state (closed, open, half-open) -> how many;
    Web Push and app servers have many, one for each service; `why`: the reason of one that is not closed.
    `connections` that are open; `waiting`: requests that wait for a place in one. `token_age_s`: of the provider token.
    """

    provider: str
    apps: tuple[str, ...]
    breakers: dict[str, int]
    why: str = ""
    connections: int = 0
    waiting: int = 0
    token_age_s: float | None = None


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: `in_hand` events, and its credentials."""

    in_hand: int
    credentials: tuple[CredentialReport, ...]


class PushWorkers:
    """Where the reports lie. Every method waits, and raises StoreError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def report(self, name: str, report: WorkerReport) -> None:
        """Say how the worker called `name` is."""
        said = msgspec.json.encode(report)
        stale_ms = int(ALIVE_S * 1000)
        self._journal.call("EVAL", _REPORT, 1, keys.PUSH_WORKERS, name, said, stale_ms, KEPT_S)

    def leave(self, name: str) -> None:
        """It stops."""
        self._journal.call("HDEL", keys.PUSH_WORKERS, name)

    def all(self) -> dict[str, WorkerReport]:
        """Those that have reported within `ALIVE_S`, by their names."""
        (seconds, micros), flat = self._journal.call("EVAL", _ALL, 1, keys.PUSH_WORKERS)
        oldest_ms = int(seconds) * 1000 + int(micros) // 1000 - ALIVE_S * 1000
        found = {}
        for i in range(0, len(flat), 2):
            at_ms, _, said = flat[i + 1].partition(b" ")
            if int(at_ms) >= oldest_ms:
                found[flat[i].decode()] = msgspec.json.decode(said, type=WorkerReport)
        return dict(sorted(found.items()))
