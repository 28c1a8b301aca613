"""How often a gateway asks Redis for what lost notices would have told."""

from __future__ import annotations

import pytest

from gateway.session.tails import TAILS_PER_S, TAILS_S, tails_period_s


@pytest.mark.parametrize("sessions", [0, 1, 10_000])
def test_a_lost_notice_is_found_within_seconds(sessions: int) -> None:
    assert TAILS_S == tails_period_s(sessions)


@pytest.mark.parametrize("sessions", [10_001, 20_000, 1_000_000])
def test_very_many_sessions_are_asked_for_no_faster_than_redis_likes(sessions: int) -> None:
    assert TAILS_PER_S == pytest.approx(sessions / tails_period_s(sessions))
