"""What reached the devices, and what became of pushes that a provider accepted and did not hand on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workers.sandbox.clock import Clock
from workers.sandbox.journal import Journal

LIMIT = 100_000

Event = Literal["delivered", "stored", "replaced", "expired", "dropped", "deleted"]
"""`stored`: kept until the device can take it. `replaced`: a newer one took its place in the store. `expired`: it came
too late. `dropped`: the device could not take it, and it was not to be kept. `deleted`: too many waited, and all of
them were thrown away.
"""


@dataclass(frozen=True, kw_only=True)
class Push:
    """An accepted push on its way to one device. Times are Unix seconds; `push` is its number in the record.

    `slot` is what it shares with the pushes that replace it in the store (APNs: the bundle ID; FCM: the collapse key),
    `collapse_id` what it shares with those that replace it on the screen.
    """

    provider: str
    token: str
    push: int
    push_id: str
    slot: str
    collapse_id: str
    is_urgent: bool
    expires_at: float
    payload: Any


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One line of a push's life. `at` is in Unix milliseconds; `replaces` is the push whose place it took, or 0."""

    seq: int
    at: int
    event: Event
    provider: str
    token: str
    push: int
    push_id: str
    collapse_id: str
    replaces: int
    payload: Any

    def as_json(self) -> Mapping[str, Any]:
        """The line as JSON values."""
        return asdict(self)


class Deliveries(Journal[Delivery]):
    """The lines, newest LIMIT of them. `shown` remembers what a collapse id replaces on a device's screen."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(LIMIT)
        self._clock = clock
        self._shown: dict[tuple[str, str, str], int] = {}

    def note(self, event: Event, push: Push, *, replaces: int = 0) -> Delivery:
        """Append a line about a push."""
        line = Delivery(
            seq=self.next_seq(),
            at=self._clock.now_ms(),
            event=event,
            provider=push.provider,
            token=push.token,
            push=push.push,
            push_id=push.push_id,
            collapse_id=push.collapse_id,
            replaces=replaces,
            payload=push.payload,
        )
        self.append(line)
        return line

    def deliver_kept(self, push: Push) -> None:
        """The device can take now what was kept for it, unless that has expired."""
        if push.expires_at <= self._clock.now():
            self.note("expired", push)
        else:
            self.deliver(push)

    def deliver(self, push: Push) -> None:
        """The device has it."""
        replaces = 0
        if push.collapse_id:
            key = (push.provider, push.token, push.collapse_id)
            replaces = self._shown.pop(key, 0)
            self._shown[key] = push.push
            if len(self._shown) > LIMIT:
                del self._shown[next(iter(self._shown))]
        self.note("delivered", push, replaces=replaces)

    def forget(self) -> int:
        """Forget the lines and what is shown on the devices."""
        self._shown.clear()
        return super().forget()
