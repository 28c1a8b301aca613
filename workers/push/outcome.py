"""What may come of one push. Answers of providers are values, never exceptions: tables in `answers` map to these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Delivered:
    """The provider took the push. `id` is its name for it; that the device showed it, no provider says."""

    id: str


@dataclass(frozen=True)
class TokenGone:
    """The device token is dead. `at_ms` (UNIX milliseconds) is since when, if the provider said so: a registration that
    is newer than this must be kept.
    """

    at_ms: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Later:
    """Not now: worth another try after `after_s` seconds, or after the usual back-off if None.

    `alert` tells that somebody has to act (a credential was refused) before another try can succeed. `is_tried` is
    False if the provider was not even asked (its breaker is open), so that this counts as no attempt.
    """

    after_s: float | None = None
    reason: str = ""
    alert: bool = False
    is_tried: bool = True


@dataclass(frozen=True)
class Refused:
    """Never: another try would be answered the same. The registration stays; `alert` if the fault is ours or the
    operator's.
    """

    reason: str
    alert: bool


Outcome = Delivered | TokenGone | Later | Refused


def in_words(outcome: Outcome) -> str:
    """What came of a push, for an operator."""
    match outcome:
        case Delivered(id):
            return f"accepted as {id}"
        case TokenGone(at_ms, reason):
            since = "" if at_ms is None else f" since {datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
            return f"the device token is dead{since}{_because(reason)}"
        case Later(after_s, reason, alert=alert):
            when = "later" if after_s is None else f"in {after_s:g} s"
            return f"not now{_because(reason)}; try again {'when that is repaired' if alert else when}"
        case Refused(reason):
            return f"refused for good{_because(reason)}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
