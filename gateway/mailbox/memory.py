"""How full Redis is, server by server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.telemetry import get_logger

log = get_logger(__name__)

REFUSES = "noeviction"
"""the only `maxmemory-policy` under which nothing is thrown away"""


@dataclass(frozen=True, slots=True)
class Memory:
    """One server, named by the beginning of its run id. `limit_bytes` 0: none is set."""

    server: str
    used_bytes: int
    limit_bytes: int
    policy: str

    @property
    def is_safe(self) -> bool:
        """Whether it refuses what does not fit, and throws nothing away."""
        return not self.limit_bytes or self.policy == REFUSES

    def to_json(self) -> dict[str, Any]:
        """As /api/status shows it."""
        return {
            "server": self.server,
            "used_bytes": self.used_bytes,
            "limit_bytes": self.limit_bytes,
            "policy": self.policy,
        }


def memory_of(journal: Journal) -> tuple[Memory, ...]:
    """Of each server that holds a bucket. Waits; raises StoreError."""
    calls = [("FCALL", function("memory"), 1, at) for at in keys.PREFIXES]
    found = {
        server: Memory(server.decode()[:8], used, limit, policy.decode())
        for server, used, limit, policy in journal.call_all(calls if journal.is_sharded else calls[:1])
    }
    return tuple(sorted(found.values(), key=lambda line: line.server))


def warn_of_eviction(journal: Journal) -> None:
    """Say so in the log if a server would rather forget than refuse. Waits; raises StoreError."""
    for line in memory_of(journal):
        if not line.is_safe:
            log.error("redis_throws_data_away", server=line.server, policy=line.policy, hint=f"set {REFUSES}")
