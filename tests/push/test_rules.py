"""Is it worth a push."""

from __future__ import annotations

import pytest

from workers.push.rules import Decision, Send, Skip, decide, floor_ms, hold_s, kind_of
from workers.push.settings import PushSettings

SETTINGS = PushSettings(floor=20.0, burst=1.0, expiry=3600, call_expiry=30)


def rule(kind: str = "message", *, waiting: int = 1, now: float = 1000.0) -> Decision:
    return decide(kind, 1000.0, waiting=waiting, settings=SETTINGS, now=now)


def test_a_message_that_waits_is_pushed_urgently() -> None:
    assert Send("message", True, 1, expires_at=4600.0) == rule()


def test_one_push_stands_for_all_that_waits() -> None:
    decision = rule(waiting=7)

    assert isinstance(decision, Send)
    assert 7 == decision.count


@pytest.mark.parametrize(
    ("reason", "event_class", "kind"),
    [
        ("queued", "message", "message"),
        ("queued", "call", "call"),
        ("last-call", "message", "last-call"),
        ("call-ended", "call", "call-ended"),
        ("hibernation", "message", "message"),
    ],
)
def test_what_a_push_is_called(reason: str, event_class: str, kind: str) -> None:
    assert kind == kind_of(reason, event_class)


@pytest.mark.parametrize(("kind", "expected"), [("message", 20_000), ("call", 0), ("last-call", 0), ("call-ended", 0)])
def test_only_messages_wait_for_the_floor(kind: str, expected: int) -> None:
    assert expected == floor_ms(kind, SETTINGS)


@pytest.mark.parametrize(("kind", "expected"), [("message", 0.75), ("call", 0.0)])
def test_a_burst_window_holds_messages_back_and_no_calls(kind: str, expected: float) -> None:
    assert expected == hold_s(kind, 1000.0, settings=SETTINGS, now=1000.25)


def test_a_burst_that_is_over_holds_nothing_back() -> None:
    assert 0.0 == hold_s("message", 1000.0, settings=SETTINGS, now=1005.0)


def test_a_call_is_worth_seconds_and_a_message_hours() -> None:
    expiries = [decision.expires_at for kind in ("call", "message") if isinstance(decision := rule(kind), Send)]

    assert [1030.0, 4600.0] == expiries


def test_what_has_expired_is_not_sent() -> None:
    assert Skip("expired") == rule("call", now=1030.0)


def test_nothing_waiting_is_no_push() -> None:
    assert Skip("nothing-waiting") == rule(waiting=0)


def test_the_end_of_a_call_is_told_though_nothing_waits_and_wakes_nobody() -> None:
    assert Send("call-ended", False, 0, expires_at=1030.0) == rule("call-ended", waiting=0)
