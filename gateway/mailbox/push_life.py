"""The life of push events and of pushes in numbers, read from the counters that all workers share (`pushstat`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

BOUNDS_MS: Final = (50, 100, 250, 500, 1000, 2500, 5000, 15_000, 60_000, 300_000)
"""Upper bounds of the histogram's buckets (the Lua library counts into the same ones), but for the last, which has
none.
"""

REST: Final = "+Inf"
"""how the bucket without a bound is called"""

SIMPLE_ENDS: Final = ("delivered", "token-gone", "refused", "dead", "expired")
"""ends of a push that have no reasons of their own"""


@dataclass(frozen=True, slots=True)
class Latency:
    """From the event to the answer of one provider that took the push, in seconds. `within`: upper bound ("+Inf" is the
    last) -> how many took no longer, as Prometheus has it: each includes those before it.
    """

    within: Mapping[str, int]
    sum_s: float

    @property
    def count(self) -> int:
        """How many were measured."""
        return self.within[REST]

    @classmethod
    def of(cls, counted: Mapping[str, int], sum_ms: int) -> Latency:
        """From buckets by their bounds in ms, each counting for itself."""
        total, within = 0, {}
        for bound in BOUNDS_MS:
            total += counted.get(str(bound), 0)
            within[str(bound / 1000)] = total
        return cls({**within, REST: total + counted.get(REST, 0)}, sum_ms / 1000)


@dataclass(frozen=True, slots=True)
class PushLife:
    """How many reached which state, ever.

    Events: raised = claimed + cancelled + those that wait; `coalesced` messages needed none of their own. Pushes, one
    for each registration of a claimed event: queued = ended + skipped + withdrawn + those that are under way. Tries:
    `sent` to a provider, of these `retried` later; `put_off`: the provider was not asked; `repeated`: begun again after
    a worker that had begun it died, so the provider may have seen them twice.
    """

    raised: int
    coalesced: int
    claimed: int
    cancelled: Mapping[str, int]
    queued: int
    ended: Mapping[str, int]
    skipped: Mapping[str, int]
    withdrawn: Mapping[str, int]
    sent: int
    retried: int
    put_off: int
    repeated: int
    latencies: Mapping[str, Latency]

    @classmethod
    def of(cls, counters: Mapping[str, int]) -> PushLife:
        """From `Pushes.counters`."""
        return cls(
            raised=counters.get("raised", 0),
            coalesced=counters.get("coalesced", 0),
            claimed=counters.get("claimed", 0),
            cancelled=_below(counters, "cancelled"),
            queued=counters.get("queued", 0),
            ended={end: counters.get(end, 0) for end in SIMPLE_ENDS},
            skipped=_below(counters, "skipped"),
            withdrawn=_below(counters, "withdrawn"),
            sent=counters.get("sent", 0),
            retried=counters.get("retried", 0),
            put_off=counters.get("put-off", 0),
            repeated=counters.get("repeated", 0),
            latencies={
                provider: Latency.of(_below(counters, f"latency:{provider}"), sum_ms)
                for provider, sum_ms in sorted(_below(counters, "latency-sum").items())
            },
        )

    @property
    def events_waiting(self) -> int:
        """Raised, and neither claimed nor cancelled yet. Below 0, the books are wrong."""
        return self.raised - self.claimed - sum(self.cancelled.values())

    @property
    def pushes_under_way(self) -> int:
        """Queued, without an end yet: in hand, or waiting to be tried again. Below 0, the books are wrong."""
        ends = (self.ended, self.skipped, self.withdrawn)
        return self.queued - sum(sum(counted.values()) for counted in ends)

    def to_json(self) -> dict[str, Any]:
        """As `wakegate status --json` and /api/status show it."""
        return {
            "events": {
                "raised": self.raised,
                "claimed": self.claimed,
                "cancelled": dict(self.cancelled),
                "waiting": self.events_waiting,
                "coalesced": self.coalesced,
            },
            "pushes": {
                "queued": self.queued,
                **self.ended,
                "skipped": dict(self.skipped),
                "withdrawn": dict(self.withdrawn),
                "under_way": self.pushes_under_way,
            },
            "tries": {"sent": self.sent, "retried": self.retried, "put_off": self.put_off, "repeated": self.repeated},
            "latency": {
                provider: {"count": latency.count, "mean_s": _rounded(latency), "within": dict(latency.within)}
                for provider, latency in self.latencies.items()
            },
        }


def _below(counters: Mapping[str, int], name: str) -> dict[str, int]:
    """Counters called `name:…`, by what follows the colon."""
    start = f"{name}:"
    return {key.removeprefix(start): count for key, count in sorted(counters.items()) if key.startswith(start)}


def _rounded(latency: Latency) -> float | None:
    return round(latency.sum_s / latency.count, 3) if latency.count else None
