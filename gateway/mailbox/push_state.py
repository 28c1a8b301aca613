"""A look at all that decides about the pushes of one account, at one moment: for `wakegate push trace`.

No device token, no endpoint, no session id and no JID but the account's own is kept from what Redis holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.pushes import Event, Registration

Place = Literal["here", "disabled", "none"]
_PENDING = ("", "message", "call")


@dataclass(frozen=True, slots=True)
class Session:
    """A device's session. `state`: live, asleep or ending; `overdue`: an <r/> is unanswered; `inactive`: XEP-0352.

    `waiting` messages that wake are not acknowledged; `covered`: for all of them a push was made. `pending`: the class
    of the event that waits to be claimed, or "". Times in ms since 1970, 0 = never or not known: when it was pushed for
    last, since when and until when it sleeps.
    """

    resource: str
    state: str
    overdue: bool
    inactive: bool
    waiting: int
    covered: bool
    pending: str
    pushed_at_ms: int
    asleep_since_ms: int
    ends_at_ms: int

    @property
    def is_consuming(self) -> bool:
        """Does it get what comes at once, so that no push is needed?"""
        return self.state == "live" and not self.overdue


@dataclass(frozen=True, slots=True)
class Device:
    """A registration. `device` is its name in traces; `foreign`: its pushes go to somebody else's app server.

    `muted`, `rooms`: how many chats its filters name; `unknown_muted`: strangers do not wake it. `quiet_ms`: how long
    until a push that shows nothing may go. `session` None: the device has none, what comes is stored or archived.
    """

    device: str
    app: str
    resource: str
    environment: str
    content: str
    foreign: bool
    at_ms: int
    muted: int
    rooms: int
    unknown_muted: bool
    quiet_ms: int
    session: Session | None


@dataclass(frozen=True, slots=True)
class Planned:
    """An event that waits: for a worker (`due_ms` 0), or for its time. `device` "": not for a single one.

    `resource` "": for devices without a session.
    """

    kind: str
    reason: str
    at_ms: int
    resource: str
    device: str = ""
    attempt: int = 0
    due_ms: int = 0


@dataclass(frozen=True, slots=True)
class PushState:
    """`offline_waiting`: messages that wake and wait for devices without a session; `offline_covered`: a push was made
    for all of them, the last at `offline_pushed_at_ms`.
    """

    at_ms: int
    place: Place
    devices: tuple[Device, ...]
    others: tuple[Session, ...]
    """sessions to which no registration is linked"""
    planned: tuple[Planned, ...]
    offline_waiting: int
    offline_covered: bool
    offline_pending: str
    offline_pushed_at_ms: int


def device_of(user: str, registration: str) -> str:
    """What a registration of an account is called in traces: the Lua library makes the same."""
    return hashlib.sha1(f"{user}\n{registration}".encode(), usedforsecurity=False).hexdigest()[:12]


def look(journal: Journal, user: str) -> PushState:
    """The present state of `user`, a bare JID. Waits; raises StoreError."""
    reply = journal.call("FCALL", function("push_state"), 1, keys.prefix(user), user)
    now, place, account, registered, bound, events, retries = reply
    sessions, by_sid = {}, {}
    for resource, sid, marks in _rows(bound, 3):
        if marks[0] is not None:
            sessions[sid.decode()] = _session(resource.decode(), marks)
            by_sid[sid.decode()] = resource.decode()
    devices = tuple(_device(user, field, value, quiet, sessions) for field, value, quiet in _rows(registered, 3))
    linked = {id(device.session) for device in devices}
    important, idle, covered, pending, pushed_at = (_number(value) for value in account)
    planned = [_planned(user, _fields(flat), by_sid, 0) for flat in events]
    planned += [_planned(user, msgspec.json.decode(event), by_sid, _number(due)) for event, due in _rows(retries, 2)]
    return PushState(
        at_ms=int(now),
        place=place.decode(),
        devices=devices,
        others=tuple(session for session in sessions.values() if id(session) not in linked),
        planned=tuple(planned),
        offline_waiting=important + idle,
        offline_covered=important + idle <= covered,
        offline_pending=_PENDING[pending],
        offline_pushed_at_ms=pushed_at,
    )


def _session(resource: str, marks: Sequence[bytes | None]) -> Session:
    state, overdue, inactive, _reg, *numbers = marks
    important, acked, covered, pending, pushed_at, deadline, most = (_number(value) for value in numbers)
    return Session(
        resource=resource,
        state=(state or b"").decode(),
        overdue=overdue == b"1",
        inactive=inactive == b"1",
        waiting=max(0, important - acked),
        covered=important <= max(covered, acked),
        pending=_PENDING[pending],
        pushed_at_ms=pushed_at,
        asleep_since_ms=max(0, deadline - most),
        ends_at_ms=deadline,
    )


def _device(user: str, field: bytes, value: bytes, quiet_ms: int, sessions: dict[str, Session]) -> Device:
    it = msgspec.json.decode(value, type=Registration)
    filters = it.filters
    session = sessions.get(it.sid)
    return Device(
        device=device_of(user, field.decode()),
        app=it.app,
        resource=it.resource,
        environment=it.environment,
        content=it.content,
        foreign=not it.app,
        at_ms=int(it.at),
        muted=len(filters.muted) if filters is not None else 0,
        rooms=len(filters.rooms) if filters is not None else 0,
        unknown_muted=filters is not None and filters.ignore_unknown,
        quiet_ms=int(quiet_ms),
        session=session if session is not None and session.state != "ending" else None,
    )


def _planned(user: str, fields: dict[str, str], by_sid: dict[str, str], due_ms: int) -> Planned:
    event = Event.read(0, "", {"id": "", **{name: str(value) for name, value in fields.items()}})
    return Planned(
        kind=event.kind,
        reason=event.reason,
        at_ms=event.at_ms,
        resource=by_sid.get(event.sid, ""),
        device=device_of(user, event.only) if event.only else "",
        attempt=event.attempt,
        due_ms=due_ms,
    )


def _rows(flat: Sequence[Any], width: int) -> list[Any]:
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def _fields(flat: Sequence[bytes]) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}


def _number(value: bytes | None) -> int:
    return int(float(value)) if value else 0
