"""What a decision of a trace says, in words for an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.mailbox.pushes import Decision

WHY_CANCELLED: Final[Mapping[str, str]] = {
    "back": "the phone was back first",
    "consuming": "the device was reading again",
    "nothing-waiting": "what waited was acknowledged, or an earlier push was made for it",
    "call-answered": "another device answered or rejected the call first (XEP-0353)",
    "read-elsewhere": "another device showed it first (XEP-0333, XEP-0490)",
    "session-gone": "the session had ended; what waited is offline or archived",
    "no-registration": "no device is registered for it (any more)",
    "pushed-meanwhile": "the device was pushed meanwhile",
    "superseded": "a newer push to the device tells of all that waits",
    "done": "another worker had done it",
}

WHY_SKIPPED: Final[Mapping[str, str]] = {
    "muted": "the chat is muted, by the device or the account (XEP-0492)",
    "no-mention": "the room wakes on mention only, and nobody was mentioned",
    "unknown-sender": "the sender is not in the roster, and strangers do not wake this device",
    "unknown-app": "its app is not in the configuration of the push worker",
    "background-budget": "Apple takes few pushes that show nothing: [push] background_gap",
    "nothing-waiting": "nothing waited for it any more",
    "expired": "it was worth nothing any more: [push] expiry, call_expiry",
}

WHAT: Final[Mapping[str, str]] = {
    "cancelled": "no push",
    "put-off": "put off",
    "delivered": "delivered",
    "token-gone": "the device token is dead, its registration is removed",
    "refused": "refused for good",
    "dead": "given up, a dead letter (wakegate push dead list)",
    "expired": "expired",
    "skipped": "no push to this device",
    "retry": "not now, tried again",
    "withdrawn": "no push to this device any more",
}


def in_words(decision: Decision) -> str:
    """One line: what was decided, and why."""
    state, _, label = decision.what.partition(":")
    why = label or decision.why
    said = WHAT.get(state, state)
    more = decision.more
    if state == "delivered":
        return f"{said}: {more.get('provider', 'the provider')} took it {seconds(more.get('ms'))} after the event"
    if state in ("cancelled", "withdrawn"):
        return f"{said}: {WHY_CANCELLED.get(why, why)}"
    if state in ("skipped", "expired"):
        return f"{said}: {WHY_SKIPPED.get(why or 'expired', why)}"
    if state == "put-off" and why == "too-soon":
        return (
            f"{said} for {seconds(more.get('ms'))}: this device was pushed less than [push] floor ago, "
            "or another one is active"
        )
    if state in ("put-off", "retry"):
        return f"{said} in {seconds(more.get('ms'))}: {why or 'no reason given'}"
    return f"{said}{f': {why}' if why else ''}"


def seconds(ms: str | int | None) -> str:
    """`41 ms`, `14 s`, `3 min`, `2 h`, `5 days`: as much as a reader wants to know."""
    value = int(float(ms or 0))
    if value < 1000:
        return f"{value} ms"
    for unit, size in (("days", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if value >= 2 * size:
            return f"{value // size} {unit}"
    return f"{value / 1000:.2g} s" if value < 10_000 else f"{value // 1000} s"
