"""Is it worth a push, and what kind of push: pure functions of an event and of what waits.

The mailbox keeps the state (is the cursor still behind, when was the device pushed last, is one trailing push planned)
and looks at it in one atomic step when an event is claimed. What it is to look for, and what follows, is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workers.push.settings import PushSettings

CALL: Final = "call"
CALL_ENDED: Final = "call-ended"
LAST_CALL: Final = "last-call"
MESSAGE: Final = "message"


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


def kind_of(reason: str, event_class: str) -> str:
    """What the payload calls the push: from why the mailbox raised the event, and its class ("message" or "call")."""
    if reason in {CALL_ENDED, LAST_CALL}:
        return reason
    return CALL if event_class == CALL else MESSAGE


def is_urgent(kind: str) -> bool:
    """Will the user notice it? Google takes high priority away from apps that wake a phone for nothing."""
    return kind != CALL_ENDED


def lifetime_s(kind: str, settings: PushSettings) -> float:
    """For how many seconds a push of this kind is worth delivering."""
    return float(settings.call_expiry if kind in {CALL, CALL_ENDED} else settings.expiry)


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
    if waiting <= 0 and kind != CALL_ENDED:
        return Skip("nothing-waiting")
    return Send(kind, is_urgent(kind), waiting, expires_at)
