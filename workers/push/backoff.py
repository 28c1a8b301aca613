"""When a push is tried again: full jitter, the provider's own wish, never past the push's expiry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

QUARTER_S: Final = 900.0
EDGE_S: Final = 120.0
"""Google asks senders to stay away from the two minutes around each quarter of an hour."""

LONGEST_WISH_S: Final = 86_400.0
"""A Retry-After beyond a day is read as a day: whatever it means, the push has expired by then."""

Uniform = Callable[[float, float], float]
"""`random.uniform` or a stand-in for it."""


def jittered(attempt: int, *, first_s: float, most_s: float, uniform: Uniform) -> float:
    """Seconds to wait before another try, anything between 0 and the ceiling of this attempt ("full jitter").

    `attempt` counts the tries there were, from 1. The ceiling starts at `first_s`, doubles, and stops at `most_s`.
    """
    ceiling = min(most_s, first_s * 2.0 ** min(attempt - 1, 32))
    return uniform(0.0, ceiling)


def next_try(
    attempt: int,
    *,
    now: float,
    expires_at: float,
    wish_s: float | None,
    first_s: float,
    most_s: float,
    uniform: Uniform,
) -> float | None:
    """Seconds until the next try of a push, or None if it would come at or after its expiry.

    `wish_s` is what the provider asked for (Retry-After): it is waited for in full, and the jitter comes on top, so
    that a thousand pushes refused together do not come back together. Times are UNIX seconds.
    """
    wait = jittered(attempt, first_s=first_s, most_s=most_s, uniform=uniform)
    if wish_s is not None:
        wait = min(wish_s, LONGEST_WISH_S) + min(wait, max(1.0, wish_s * 0.1))
    wait = max(wait, 0.0)
    return wait if now + wait < expires_at else None


def off_the_quarter(now: float, wait_s: float, *, uniform: Uniform) -> float:
    """Move the end of a wait out of the busy minutes around :00, :15, :30 and :45 (Google's advice for retries)."""
    past = (now + wait_s + EDGE_S) % QUARTER_S
    if past >= 2 * EDGE_S:
        return wait_s
    return wait_s + 2 * EDGE_S - past + uniform(0.0, EDGE_S)


def retry_after_s(value: str | None, *, now: float) -> float | None:
    """Read a Retry-After header (RFC 9110, section 10.2.3), seconds or an HTTP date; None if absent or not readable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WISH_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # OverflowError: a number in it is larger than any date's
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds()), LONGEST_WISH_S)
