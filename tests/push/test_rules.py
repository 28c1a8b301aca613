"""Is it worth a push."""

from __future__ import annotations

import pytest

from workers.push.rules import Decision, Device, Event, Send, Skip, Wait, decide
from workers.push.settings import PushSettings

SETTINGS = PushSettings(floor=20.0, expiry=3600, call_expiry=30)


def rule(
    *, reason: str = "queued", event_class: str = "message", device: Device = Device(waiting=1), now: float = 1000.0
) -> Decision:
    return decide(Event(reason, event_class, at=1000.0), device, settings=SETTINGS, now=now)


def test_a_message_for_a_device_that_was_not_pushed_is_sent_at_once() -> None:
    assert Send("message", True, 1, expires_at=4600.0) == rule()


def test_one_push_stands_for_all_that_waits() -> None:
    decision = rule(device=Device(waiting=7))

    assert isinstance(decision, Send)
    assert 7 == decision.count


def test_within_the_floor_there_is_one_trailing_push() -> None:
    assert Wait(15.0) == rule(device=Device(waiting=1, pushed_at=995.0))
    assert Skip("coalesced") == rule(device=Device(waiting=1, pushed_at=995.0, is_trailing=True))


def test_after_the_floor_the_next_is_sent() -> None:
    assert isinstance(rule(device=Device(waiting=1, pushed_at=980.0)), Send)


def test_a_burst_window_holds_the_first_push_back() -> None:
    decision = decide(
        Event("queued", "message", at=1000.0), Device(waiting=1), settings=PushSettings(burst=1.0), now=1000.25
    )

    assert Wait(0.75) == decision


@pytest.mark.parametrize(("reason", "event_class"), [("queued", "call"), ("last-call", "message")])
def test_a_call_and_a_last_call_do_not_wait_for_the_floor(reason: str, event_class: str) -> None:
    decision = rule(reason=reason, event_class=event_class, device=Device(waiting=1, pushed_at=999.0))

    assert isinstance(decision, Send)
    assert decision.urgent


def test_a_call_is_worth_seconds_and_a_message_hours() -> None:
    call, message = rule(event_class="call"), rule()

    assert isinstance(call, Send)
    assert isinstance(message, Send)
    assert 1030.0 == call.expires_at
    assert 4600.0 == message.expires_at


def test_what_has_expired_is_not_sent() -> None:
    assert Skip("expired") == rule(event_class="call", now=1030.0)


def test_nothing_waiting_is_no_push() -> None:
    assert Skip("nothing-waiting") == rule(device=Device(waiting=0))


def test_the_end_of_a_call_is_told_though_nothing_waits_and_wakes_nobody() -> None:
    decision = rule(reason="call-ended", event_class="call", device=Device(waiting=0))

    assert isinstance(decision, Send)
    assert not decision.urgent
