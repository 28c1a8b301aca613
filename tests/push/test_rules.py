"""Is it worth a push."""

from __future__ import annotations

import pytest

from workers.push.rules import Decision, Send, Skip, decide, floor_ms, for_device, hold_s, is_voip, kind_of
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
        ("call-ended", "call-ended", "call-ended"),
        ("call-answered", "call-ended", "call-answered"),
        ("restart", "wake", "restart"),
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


@pytest.mark.parametrize(
    ("kind", "urgent", "expires_at"),
    [("call-ended", True, 4600.0), ("call-answered", False, 1030.0), ("restart", False, 4600.0)],
)
def test_what_is_sent_though_nothing_waits(kind: str, urgent: bool, expires_at: float) -> None:
    assert Send(kind, urgent, 0, expires_at=expires_at) == rule(kind, waiting=0)


def test_a_call_of_which_nobody_was_told_in_time_is_a_message() -> None:
    assert "message" == kind_of("queued", "call", is_late=True)


def test_only_a_fresh_call_may_go_as_voip() -> None:
    assert [True, False, False] == [is_voip("call", 19.0), is_voip("call", 20.0), is_voip("message", 0.0)]


def test_messages_that_a_device_does_not_want_are_not_counted_for_it() -> None:
    decision = for_device(Send("message", True, 7, 0.0), ["", "muted", ""], fresh=3)

    assert Send("message", True, 6, 0.0) == decision


def test_a_device_that_wants_none_of_what_waits_is_left_alone() -> None:
    assert Skip("no-mention") == for_device(Send("message", True, 2, 0.0), ["muted", "no-mention"], fresh=2)


def test_the_end_of_a_call_reaches_a_device_whatever_it_wants_to_hear_of() -> None:
    decision = Send("call-ended", True, 0, 0.0)

    assert decision == for_device(decision, ["muted"], fresh=1)
