"""Is it worth a push, and what kind of push: pure functions from an event and what is known of the device.

The mailbox has looked already (is the cursor still behind, how much waits); these rules turn that into at most one push
for a burst, at most one per device and floor, and a wait or a reason when there is none.
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
class Event:
    """What the mailbox wants somebody to know. `event_class` is "message" or "call"; times are UNIX seconds."""

    reason: str
    event_class: str
    at: float


@dataclass(frozen=True)
class Device:
    """What is known of one registration's device when the event is looked at.

    `waiting`: important entries beyond its cursor. `pushed_at`: when it was last pushed, 0.0 for never. `is_trailing`:
    the one push after the floor is already planned.
    """

    waiting: int
    pushed_at: float = 0.0
    is_trailing: bool = False


@dataclass(frozen=True)
class Send:
    """Send now. `urgent`: something will be shown, so wake the device; `count`: how many entries this one push stands
    for.
    """

    kind: str
    urgent: bool
    count: int
    expires_at: float


@dataclass(frozen=True)
class Wait:
    """Look again after `wait_s`: the one trailing push of a burst."""

    wait_s: float


@dataclass(frozen=True)
class Skip:
    """No push, and why: the label of the counter of saved pushes."""

    reason: str


Decision = Send | Wait | Skip


def kind_of(event: Event) -> str:
    """What the payload calls the push."""
    if event.reason in {CALL_ENDED, LAST_CALL}:
        return event.reason
    return CALL if event.event_class == CALL else MESSAGE


def is_urgent(kind: str) -> bool:
    """Will the user see or hear something of it? Google takes high priority away from apps that wake a phone for
    nothing.
    """
    return kind != CALL_ENDED


def is_beyond_floor(kind: str) -> bool:
    """These cannot wait for the floor: a call rings now, its end stops the ringing, and the last call comes once."""
    return kind != MESSAGE


def lifetime_s(kind: str, settings: PushSettings) -> float:
    """For how many seconds a push of this kind is worth delivering."""
    return float(settings.call_expiry if kind in {CALL, CALL_ENDED} else settings.expiry)


def decide(event: Event, device: Device, *, settings: PushSettings, now: float) -> Decision:
    """What to do about an event for one device."""
    kind = kind_of(event)
    expires_at = event.at + lifetime_s(kind, settings)
    if now >= expires_at:
        return Skip("expired")
    if device.waiting <= 0 and kind != CALL_ENDED:
        return Skip("nothing-waiting")
    wait = 0.0 if is_beyond_floor(kind) else _wait_s(event, device, settings, now)
    if wait > 0:
        return Skip("coalesced") if device.is_trailing else Wait(wait)
    return Send(kind, is_urgent(kind), device.waiting, expires_at)


def _wait_s(event: Event, device: Device, settings: PushSettings, now: float) -> float:
    """Until the burst window of the event and the floor of the device are both over."""
    return max(event.at + settings.burst, device.pushed_at + settings.floor if device.pushed_at else 0.0) - now
