"""When a push is tried again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.push.backoff import jittered, next_try, off_the_quarter, retry_after_s


def highest(_low: float, high: float) -> float:
    return high


def test_the_ceiling_doubles_and_stops() -> None:
    waits = [jittered(attempt, first_s=10, most_s=60, uniform=highest) for attempt in (1, 2, 3, 4, 50)]

    assert [10, 20, 40, 60, 60] == waits


@given(st.integers(1, 100), st.randoms())
def test_jitter_is_full(attempt: int, rng: random.Random) -> None:
    wait = jittered(attempt, first_s=1, most_s=30, uniform=rng.uniform)

    assert 0 <= wait <= 30


def try_again(**fields: float | None) -> float | None:
    values = {"now": 1000.0, "expires_at": 2000.0, "wish_s": None, **fields}
    return next_try(1, first_s=10.0, most_s=60.0, uniform=highest, **values)  # type: ignore[arg-type]


def test_what_the_provider_asks_for_is_waited_in_full() -> None:
    assert 120.0 <= (try_again(wish_s=120.0) or 0) <= 132.0


def test_a_push_is_not_tried_past_its_expiry() -> None:
    assert try_again(wish_s=1000.0) is None


def test_a_try_at_the_very_expiry_is_too_late() -> None:
    assert try_again(expires_at=1010.0) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 1970 00:17:40 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("99999999999", 86_400.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        (f"Thu, 01 Jan 1970 00:17:{'9' * 30} GMT", None),
        ("Thu, 01 Jan 99999 00:17:40 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_has_two_forms(value: str | None, expected: float | None) -> None:
    assert expected == retry_after_s(value, now=1000.0)


@given(st.floats(0, 1e6), st.floats(0, 5000), st.randoms())
def test_a_retry_never_falls_into_the_two_minutes_around_a_quarter(now: float, wait: float, rng: random.Random) -> None:
    moved = off_the_quarter(now, wait, uniform=rng.uniform)

    assert moved >= wait
    assert 120 - 1e-6 <= (now + moved) % 900 <= 780 + 1e-6
