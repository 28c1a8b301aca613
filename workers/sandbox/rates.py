"""How often something may happen: token buckets on the sandbox's clock."""

from collections import OrderedDict
from dataclasses import dataclass

from workers.sandbox.clock import Clock

REMEMBERED = 100_000


@dataclass
class _Bucket:
    size: int
    period_s: float
    left: float
    at: float


class Rates:
    """One bucket for each kind and name, forgotten when REMEMBERED others were used since."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def take(self, kind: str, name: str, *, size: int, period_s: float) -> float:
        """Take one of `size`, which come back evenly in `period_s` seconds; 0.0, or the seconds until there is one."""
        now = self._clock.now()
        bucket = self._buckets.pop((kind, name), None)
        if bucket is None or (bucket.size, bucket.period_s) != (size, period_s):
            bucket = _Bucket(size, period_s, float(size), now)
        self._buckets[kind, name] = bucket
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.left = min(size, bucket.left + max(0.0, now - bucket.at) * size / period_s)
        bucket.at = now
        if bucket.left < 1.0:
            return (1.0 - bucket.left) * period_s / size
        bucket.left -= 1.0
        return 0.0

    def forget(self) -> None:
        """Start counting anew."""
        self._buckets.clear()
