"""Why a device is pushed or not, in words: one case for each answer."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox.push_state import Device, Planned, PushState, Session
from gateway.mailbox.pushes import Decision
from workers.push.explanation import Explained, Reader
from workers.push.reasons import in_words, seconds
from workers.push.settings import AppSettings, PushSettings

NOW = 1_800_000_000_000
SETTINGS = PushSettings(apps={"chat": AppSettings(provider="apns", topic="org.example.chat", key_id="KEY1234567")})


def a_session(**fields: Any) -> Session:
    values: dict[str, Any] = {
        "resource": "phone", "state": "asleep", "overdue": False, "inactive": False, "waiting": 2, "covered": False,
        "pending": "", "pushed_at_ms": 0, "asleep_since_ms": NOW - 180_000, "ends_at_ms": NOW + 3_600_000,
    }  # fmt: skip
    return Session(**{**values, **fields})


def a_device(session: Session | None, **fields: Any) -> Device:
    values: dict[str, Any] = {
        "device": "0123456789ab", "app": "chat", "resource": "phone", "environment": "", "content": "",
        "foreign": False, "at_ms": NOW - 86_400_000, "muted": 0, "rooms": 0, "unknown_muted": False, "quiet_ms": 0,
        "session": session,
    }  # fmt: skip
    return Device(**{**values, **fields})


def a_state(*devices: Device, **fields: Any) -> PushState:
    values: dict[str, Any] = {
        "at_ms": NOW, "place": "here", "devices": devices, "others": (), "planned": (), "offline_waiting": 0,
        "offline_covered": True, "offline_pending": "", "offline_pushed_at_ms": 0,
    }  # fmt: skip
    return PushState(**{**values, **fields})


def planned(**fields: Any) -> Planned:
    values: dict[str, Any] = {"kind": "message", "reason": "queued", "at_ms": NOW - 40, "resource": "phone"}
    return Planned(**{**values, **fields})


def decided(what: str, why: str = "", **more: str) -> Decision:
    return Decision(NOW - 5000, "1-0", what, why, "0123456789ab", "p", more)


def reader(state: PushState, *decisions: Decision, breakers: dict[str, str] | None = None, workers: int = 1) -> Reader:
    return Reader(state, decisions, SETTINGS, breakers or {}, workers)


def explained(state: PushState, *decisions: Decision, **options: Any) -> Explained:
    (found,) = reader(state, *decisions, **options).devices()
    return found


def said(state: PushState, *decisions: Decision, **options: Any) -> str:
    return "\n".join(explained(state, *decisions, **options).lines)


def test_an_account_that_is_not_there() -> None:
    assert ["there is no such account here"] == reader(a_state(place="none")).account()


def test_no_device_is_registered() -> None:
    (line,) = reader(a_state()).account()

    assert "no device is registered" in line


def test_a_device_was_registered_until_its_token_died() -> None:
    assert "was removed because its provider said" in reader(a_state(), decided("token-gone")).account()[1]


def test_a_device_that_is_there_but_not_registered() -> None:
    found = reader(a_state(others=(a_session(state="live", resource="desk"),))).account()

    assert "resource desk: connected, and it answers; not registered for pushes" in found


def test_a_device_that_reads() -> None:
    found = said(a_state(a_device(a_session(state="live"))))

    assert "no push is needed" in found
    assert "wait" not in found


def test_a_connection_that_does_not_answer() -> None:
    found = said(a_state(a_device(a_session(state="live", overdue=True))))

    assert "connected, but it does not answer" in found
    assert "2 messages wait that wake" in found


def test_a_sleeper_for_which_nothing_waits_that_wakes() -> None:
    found = said(a_state(a_device(a_session(waiting=0))))

    assert "asleep for 3 min" in found
    assert "nothing waits for it that wakes" in found


def test_a_push_was_made_for_all_that_waits() -> None:
    assert "a push was made for all of them" in said(a_state(a_device(a_session(covered=True, waiting=1))))


def test_an_event_that_waits_for_a_worker_a_moment() -> None:
    found = said(a_state(a_device(a_session()), planned=(planned(),)))

    assert found.endswith("a push event (message, queued) waits for a worker for 40 ms")


@pytest.mark.parametrize(("workers", "hint"), [(0, ": none runs"), (2, ": they do not keep up")])
def test_an_event_that_waits_for_a_worker_too_long(workers: int, hint: str) -> None:
    found = said(a_state(a_device(a_session()), planned=(planned(at_ms=NOW - 60_000),)), workers=workers)

    assert found.endswith(hint)


def test_the_floor_is_running() -> None:
    state = a_state(a_device(a_session(pushed_at_ms=NOW - 6000)), planned=(planned(due_ms=NOW + 14_000),))

    assert "is due in 14 s: the last was 6 s ago, and [push] floor is 20 s" in said(state)


def test_what_waits_for_longer_than_the_floor_does_not_wait_for_the_floor() -> None:
    session = a_session(pushed_at_ms=NOW - 500)
    state = a_state(a_device(session), planned=(planned(reason="hibernation", due_ms=NOW + 59_000),))

    assert "is due in 59 s: the phone is given time to come back" in said(state)


def test_the_phone_is_given_time_to_come_back() -> None:
    state = a_state(a_device(a_session()), planned=(planned(due_ms=NOW + 50_000),))

    assert "given time to come back" in said(state)


def test_a_try_that_is_due_later() -> None:
    state = a_state(a_device(a_session()), planned=(planned(device="0123456789ab", attempt=2, due_ms=NOW + 30_000),))

    assert "try 3 of a push (message) is due in 30 s" in said(state)


def test_what_is_planned_for_another_device_is_not_told_of_this_one() -> None:
    plans = (planned(device="ffffffffffff", attempt=1, due_ms=NOW + 1), planned(resource="tablet"))

    assert "event" not in said(a_state(a_device(a_session()), planned=plans))
    assert "try" not in said(a_state(a_device(a_session()), planned=plans))


def test_a_device_without_a_session() -> None:
    found = said(a_state(a_device(None), offline_waiting=1, offline_covered=False, planned=(planned(resource=""),)))

    assert "it has no session" in found
    assert "1 message waits that wakes" in found
    assert "waits for a worker" in found


def test_an_app_that_is_not_configured() -> None:
    assert "app gone is not in the configuration" in said(a_state(a_device(a_session(), app="gone")))


def test_an_app_that_only_the_running_workers_know() -> None:
    state = a_state(a_device(a_session(), app="gone"))
    (found,) = Reader(state, (), SETTINGS, {}, 1, frozenset({"gone"})).devices()

    assert "its app gone is one of running workers" in found.lines[0]
    assert not any("nothing can be sent" in line for line in found.lines)


def test_an_app_server_elsewhere_needs_no_configuration() -> None:
    assert "configuration" not in said(a_state(a_device(a_session(), app="", foreign=True)))


def test_a_provider_that_is_not_asked() -> None:
    found = said(a_state(a_device(a_session())), breakers={"chat": "breaker open: InvalidProviderToken"})

    assert "not asked just now: breaker open: InvalidProviderToken" in found


def test_filters_and_budget() -> None:
    found = said(a_state(a_device(a_session(), muted=2, rooms=1, unknown_muted=True, quiet_ms=600_000)))

    assert "not woken for 2 chats" in found
    assert "rules of its own for 1 rooms" in found
    assert "strangers do not wake it" in found
    assert "in 10 min: [push] background_gap" in found


def test_the_last_outcome_and_what_is_usually_behind_it() -> None:
    found = explained(a_state(a_device(a_session())), decided("refused", "DeviceTokenNotForTopic"))

    assert "last, 5 s ago: refused for good: DeviceTokenNotForTopic" == found.lines[-1]
    assert ["token-of-another-app"] == [finding.mistake.name for finding in found.findings]


def test_what_went_well_has_no_mistake_behind_it() -> None:
    assert () == explained(a_state(a_device(a_session())), decided("delivered", provider="apns", ms="41")).findings


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (decided("delivered", provider="apns", ms="41"), "delivered: apns took it 41 ms after the event"),
        (decided("cancelled", "back"), "no push: the phone was back first"),
        (decided("put-off", "too-soon", ms="14000"), "put off for 14 s: this device was pushed less than"),
        (decided("put-off", "breaker open: X", ms="3000"), "put off in 3 s: breaker open: X"),
        (decided("retry", "TooManyRequests", ms="60000"), "not now, tried again in 60 s: TooManyRequests"),
        (decided("skipped:muted", "muted"), "no push to this device: the chat is muted"),
        (decided("withdrawn:back", "back"), "no push to this device any more: the phone was back first"),
        (decided("expired"), "expired: it was worth nothing any more"),
        (decided("expired", "ServiceUnavailable"), "expired: ServiceUnavailable"),
        (decided("token-gone", "Unregistered"), "the device token is dead, its registration is removed: Unregistered"),
        (decided("dead", "8 attempts, the last: X"), "given up, a dead letter (wakegate push dead list): 8 attempts"),
        (decided("something-new", "new"), "something-new: new"),
    ],
)
def test_each_decision_can_be_said(decision: Decision, words: str) -> None:
    assert in_words(decision).startswith(words)


@pytest.mark.parametrize(
    ("ms", "words"),
    [(0, "0 ms"), (999, "999 ms"), (1500, "1.5 s"), (14_000, "14 s"), (119_999, "119 s"), (180_000, "3 min"),
     (7_200_000, "2 h"), (172_800_000, "2 days"), ("41.0", "41 ms")],
)  # fmt: skip
def test_a_time_is_as_exact_as_a_reader_wants(ms: int | str, words: str) -> None:
    assert words == seconds(ms)
