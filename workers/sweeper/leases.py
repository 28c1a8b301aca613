"""Which gateway nodes are dead: their heartbeats have stood still for the length of the lease. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_STEP_S = 1.5
"""the most that the time between two looks counts for: what held this process or Redis up held up heartbeats as well"""


@dataclass(slots=True)
class _Lease:
    heartbeats: int
    quiet_s: float = 0.0


class Leases:
    """Counts for each node how long its number of heartbeats has not moved.

    Only whether it moves is looked at: no clock is compared with another machine's. `lease_s`: after so many seconds
    without a heartbeat, of this process's own connected time, a node is dead.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._leases: dict[str, _Lease] = {}
        self._looked_at: float | None = None

    def restart(self) -> None:
        """Redis was away, so nobody could renew: every node has its whole lease again."""
        self._leases.clear()
        self._looked_at = None

    def look(self, heartbeats: Mapping[str, int], now: float) -> frozenset[str]:
        """The nodes whose lease has lapsed.

        `heartbeats`: every known node with its number; `now`: seconds on a monotonic clock.
        """
        step_s = 0.0 if self._looked_at is None else min(max(0.0, now - self._looked_at), LONGEST_STEP_S)
        self._looked_at = now
        for node, count in heartbeats.items():
            lease = self._leases.get(node)
            if lease is None or lease.heartbeats != count:
                self._leases[node] = _Lease(count)
            else:
                lease.quiet_s += step_s
        for node in self._leases.keys() - heartbeats.keys():
            del self._leases[node]
        return frozenset(node for node, lease in self._leases.items() if lease.quiet_s >= self._lease_s)
