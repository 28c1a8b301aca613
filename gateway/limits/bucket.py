"""Token buckets: so much a second, and a burst. Clocks are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LONGEST_DEBT_S: Final = 30.0
"""a bucket is never overdrawn by more than it gets in so long, if nothing else is said: what many take at once is not
held against those to come
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` tokens come in a second, `burst` are there at most."""

    per_s: float
    burst: float

    @classmethod
    def of(cls, pair: Sequence[int], *, period_s: float = 1.0) -> Rate | None:
        """From a setting: [tokens in a period, burst]; None without a limit, []."""
        return cls(pair[0] / period_s, pair[1]) if pair else None


class TokenBucket:
    """May be overdrawn: whoever takes more than there is waits until it would have been there. So the tokens go to
    those who ask, in the order in which they ask. Times are in seconds, of one clock.
    """

    __slots__ = ("_at", "_most_debt", "_rate", "_tokens")

    def __init__(self, rate: Rate, now: float, *, most_debt_s: float = LONGEST_DEBT_S) -> None:
        self._rate = rate
        self._most_debt = rate.per_s * most_debt_s
        self._tokens = rate.burst
        self._at = now

    def take(self, count: float, now: float) -> float:
        """Take `count` tokens. Answers how long to wait, in seconds, 0.0 if they were there."""
        rate = self._rate
        tokens = min(rate.burst, self._tokens + (now - self._at) * rate.per_s) - count
        self._at = now
        if tokens >= 0:
            self._tokens = tokens
            return 0.0
        self._tokens = max(tokens, -self._most_debt)
        return -self._tokens / rate.per_s

    def give_back(self, count: float) -> None:
        """What was taken, and not needed."""
        self._tokens = min(self._rate.burst, self._tokens + count)

    def is_full(self, now: float) -> bool:
        """A new bucket would be the same."""
        return self._tokens + (now - self._at) * self._rate.per_s >= self._rate.burst


def take(bucket: TokenBucket | None, count: float, now: float) -> float:
    """As `TokenBucket.take`; None is no limit."""
    return bucket.take(count, now) if bucket is not None else 0.0


def made(rate: Rate | None, now: float) -> TokenBucket | None:
    """A full bucket, None without a limit."""
    return TokenBucket(rate, now) if rate is not None else None


def is_full(bucket: TokenBucket | None, now: float) -> bool:
    """As `TokenBucket.is_full`; what has no limit is always full."""
    return bucket is None or bucket.is_full(now)
