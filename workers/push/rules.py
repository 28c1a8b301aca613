"""Is it worth a push, and what kind of push: pure functions of an event and of what waits.

The mailbox keeps the state (is the cursor still behind, when was the device pushed last, is one trailing push planned)
and looks at it in one atomic step when an event is claimed. What it is to look for, and what follows, is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from workers.push.settings import PushSettings

CALL: Final = "call"
CALL_ENDED: Final = "call-ended"
"""nobody answered: what is shown of it replaces what rang"""
CALL_ANSWERED: Final = "call-answered"
"""at another device: what rang has to stop, and nothing is to be shown"""
LAST_CALL: Final = "last-call"
MESSAGE: Final = "message"
RESTART: Final = "restart"
WAKE: Final = "wake"
"""the class of an event for which nothing waits: its push is called RESTART"""

FOR_NOTHING: Final = frozenset({CALL_ENDED, CALL_ANSWERED, RESTART})
"""pushes that are sent though nothing may wait"""

VOIP_FRESH_S: Final = 20.0
"""After so long a caller may have given up."""


@dataclass(frozen=True)
class Send:
    """Send one push for `count` waiting messages. `urgent`: something will be shown, so wake the device."""

    kind: str
    urgent: bool
    count: int
    expires_at: float


@dataclass(frozen=True)
class Skip:
    """No push, and why: the label of the counter of saved pushes."""

    reason: str


Decision = Send | Skip


def kind_of(reason: str, event_class: str, *, is_late: bool = False) -> str:
    """What the payload calls the push: from why the mailbox raised the event, and its class.

    A call of which nobody could be told in time (`is_late`) is a message like others: that somebody called.
    """
    if event_class == WAKE:
        return RESTART
    if event_class == CALL_ENDED:
        return CALL_ANSWERED if reason == CALL_ANSWERED else CALL_ENDED
    if reason == LAST_CALL:
        return LAST_CALL
    return CALL if event_class == CALL and not is_late else MESSAGE


def is_urgent(kind: str) -> bool:
    """Will the user notice it? Google takes high priority away from apps that wake a phone for nothing."""
    return kind not in {RESTART, CALL_ANSWERED}


def is_voip(kind: str, age_s: float) -> bool:
    """May it go as a VoIP push? Apple ends apps that show no call for one, so only while the caller surely waits."""
    return kind == CALL and age_s < VOIP_FRESH_S


def lifetime_s(kind: str, settings: PushSettings) -> float:
    """For how many seconds a push of this kind is worth delivering."""
    return float(settings.call_expiry if kind in {CALL, CALL_ANSWERED} else settings.expiry)


def floor_ms(kind: str, settings: PushSettings) -> int:
    """Least time between the last push to a device and one of this kind: a call rings now, a last call comes once."""
    return int(settings.floor * 1000) if kind == MESSAGE else 0


def hold_s(kind: str, event_at: float, *, settings: PushSettings, now: float) -> float:
    """How long to wait for the rest of a burst before an event is claimed, so that one push stands for all of it."""
    return max(0.0, event_at + settings.burst - now) if kind == MESSAGE else 0.0


def decide(kind: str, event_at: float, *, waiting: int, settings: PushSettings, now: float) -> Decision:
    """What to do about an event that was raised at `event_at` and for which `waiting` important messages wait."""
    expires_at = event_at + lifetime_s(kind, settings)
    if now >= expires_at:
        return Skip("expired")
    if waiting <= 0 and kind not in FOR_NOTHING:
        return Skip("nothing-waiting")
    return Send(kind, is_urgent(kind), waiting, expires_at)


def for_device(decision: Send, verdicts: Sequence[str], *, fresh: int) -> Decision:
    """The decision for one device, which wants to hear of messages with an empty verdict only ("muted", "no-mention",
    "unknown-sender": why not of the others).

    `verdicts`: of the newest messages that wait, oldest first. Those it does not want are not counted for it. `fresh`:
    of so many of the newest it was not told. When it wants none of these there is no push: what it wants of the others
    had one. If there are more of them than could be looked at, there is one: it may want one of the rest.
    """
    if not verdicts or decision.kind in FOR_NOTHING:
        return decision
    unwanted = sum(bool(verdict) for verdict in verdicts)
    if fresh <= len(verdicts) and all(verdicts[-fresh:]):
        return Skip(verdicts[-1])
    return replace(decision, count=max(1, decision.count - unwanted)) if unwanted else decision
