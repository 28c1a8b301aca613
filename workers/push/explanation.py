"""Why is a device not pushed now, or why will it be? Pure: made of a look at the mailbox and the decisions so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.mailbox.push_state import Device, Planned, PushState, Session
from gateway.mailbox.pushes import Decision
from workers.push.mistakes import Case
from workers.push.mistakes.diagnosis import Finding, diagnose
from workers.push.reasons import in_words, seconds
from workers.push.settings import PushSettings

LATE_MS: Final = 10_000
"""An event that no worker took for so long is not waiting for its turn."""

FLOOR_SLACK_MS: Final = 2_000
"""A trailing push is due at the end of the floor, or so soon after it."""


@dataclass(frozen=True)
class Explained:
    """One device: what there is to say, and the usual mistakes behind the last that went wrong."""

    device: Device
    lines: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Reader:
    """What is known besides the mailbox. `breakers`: app -> why nobody asks its provider just now; `workers`: how many
    have said lately that they work; `served`: the apps of which they did.
    """

    state: PushState
    decisions: Sequence[Decision]
    settings: PushSettings
    breakers: Mapping[str, str]
    workers: int
    served: frozenset[str] = frozenset()

    def account(self) -> list[str]:
        """What holds for all devices."""
        state = self.state
        if state.place == "none":
            return ["there is no such account here"]
        if state.place == "disabled":
            return ["the account is disabled: nothing is delivered to it"]
        lines = []
        if not state.devices:
            lines.append("no device is registered for pushes: its client has not sent <enable/> (XEP-0357)")
            if any(decision.what == "token-gone" for decision in self.decisions):
                lines.append("one was, and was removed because its provider said that the token is dead")
        lines += [f"resource {it.resource}: {self._session(it)}; not registered for pushes" for it in state.others]
        if state.offline_waiting:
            lines.append(f"{_messages(state.offline_waiting)} for devices without a session")
        return lines

    def devices(self) -> list[Explained]:
        """Each of them."""
        return [Explained(device, tuple(self._lines(device)), self._findings(device)) for device in self.state.devices]

    def _lines(self, device: Device) -> Iterator[str]:
        if device.app not in self.settings.apps and not device.foreign:
            yield self._without_app(device.app)
        if device.session is None:
            yield "it has no session: what comes is stored or archived"
            yield from self._waiting(device, self.state.offline_waiting, self.state.offline_covered)
            yield from self._events(device, self.state.offline_pushed_at_ms)
        else:
            yield self._session(device.session)
            if device.session.is_consuming:
                yield "it gets what comes over its stream: no push is needed"
            else:
                yield from self._waiting(device, device.session.waiting, device.session.covered)
            yield from self._events(device, device.session.pushed_at_ms)
        if device.app in self.breakers:
            yield f"its provider is not asked just now: {self.breakers[device.app]}"
        yield from _filters(device)
        last = self._last(device)
        if last is not None:
            yield f"last, {seconds(self._ago(last.at_ms))} ago: {in_words(last)}"

    def _without_app(self, app: str) -> str:
        if app in self.served:
            return f"its app {app} is one of running workers, but not of the configuration that was read: see --config"
        return f"its app {app} is not in the configuration: nothing can be sent to it"

    def _session(self, session: Session) -> str:
        if session.state == "asleep":
            return f"asleep for {seconds(self._ago(session.asleep_since_ms))}, kept until {moment(session.ends_at_ms)}"
        if session.overdue:
            return "connected, but it does not answer: it counts as asleep"
        if session.inactive:
            return "connected, inactive (XEP-0352)"
        return "connected, and it answers"

    def _waiting(self, device: Device, waiting: int, is_covered: bool) -> Iterator[str]:
        if not waiting:
            yield "nothing waits for it that wakes: chat states, receipts, markers and copies of own messages do not"
            return
        yield _messages(waiting)
        if is_covered and not any(self._concerns(planned, device) for planned in self.state.planned):
            yield "a push was made for all of them; more comes with the next message, or before the session ends"

    def _events(self, device: Device, pushed_at_ms: int) -> Iterator[str]:
        for planned in self.state.planned:
            if not self._concerns(planned, device):
                continue
            if planned.device:
                yield f"try {planned.attempt + 1} of a push ({planned.kind}) {self._due(planned)}"
            elif planned.due_ms:
                why = self._why_late(planned, pushed_at_ms)
                yield f"a push ({planned.kind}, {planned.reason}) {self._due(planned)}: {why}"
            else:
                age = self._ago(planned.at_ms)
                hint = "" if age < LATE_MS else ": they do not keep up" if self.workers else ": none runs"
                yield f"a push event ({planned.kind}, {planned.reason}) waits for a worker for {seconds(age)}{hint}"

    def _due(self, planned: Planned) -> str:
        left = planned.due_ms - self.state.at_ms
        if left > 0:
            return f"is due in {seconds(left)}"
        return "is due now" if left > -LATE_MS else "was due long ago: does a sweeper run?"

    def _why_late(self, planned: Planned, pushed_at_ms: int) -> str:
        ago, floor_ms = self._ago(pushed_at_ms), self.settings.floor * 1000
        # What is put off for longer than the floor waits for something else.
        if pushed_at_ms and ago < floor_ms and planned.due_ms <= pushed_at_ms + floor_ms + FLOOR_SLACK_MS:
            return f"the last was {seconds(ago)} ago, and [push] floor is {self.settings.floor:g} s"
        return "the phone is given time to come back, or another device to show it ([push] offered_grace, active_grace)"

    def _concerns(self, planned: Planned, device: Device) -> bool:
        if planned.device:
            return planned.device == device.device
        return planned.resource == (device.session.resource if device.session is not None else "")

    def _last(self, device: Device) -> Decision | None:
        return next((it for it in reversed(self.decisions) if it.device == device.device), None)

    def _findings(self, device: Device) -> tuple[Finding, ...]:
        last = self._last(device)
        if last is None or last.what in ("delivered", "cancelled") or last.what.startswith(("skipped", "withdrawn")):
            return ()
        app = self.settings.apps.get(device.app)
        provider = "appserver" if device.foreign else app.provider if app is not None else ""
        return diagnose(Case(said=last.why, provider=provider, app=app, environment=device.environment))

    def _ago(self, ms: int) -> int:
        return max(0, self.state.at_ms - ms)


def moment(ms: int) -> str:
    """A time as people read it, UTC."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _messages(count: int) -> str:
    return "1 message waits that wakes" if count == 1 else f"{count} messages wait that wake"


def _filters(device: Device) -> Iterator[str]:
    if device.muted:
        yield f"it is not woken for {device.muted} chats that its client named"
    if device.rooms:
        yield f"it has rules of its own for {device.rooms} rooms"
    if device.unknown_muted:
        yield "strangers do not wake it"
    if device.quiet_ms:
        yield f"a push that shows nothing may go to it in {seconds(device.quiet_ms)}: [push] background_gap"
