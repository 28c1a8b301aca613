"""What a model of push events remembers: devices and what each was told, pushes in a worker's hands, calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.mailbox.pushes import Event, Registration, Send

SERVICE = "push.localhost"


@dataclass
class Device:
    """One device of an account. Messages are known by their numbers, which rise.

    `owed`: those that came for it and wake; `told`: it had a push, or a reason for none, that spoke of all up to this.
    """

    user: str
    resource: str
    owed: set[int] = field(default_factory=set)
    archived: set[int] = field(default_factory=set)
    told: int = 0

    @property
    def field(self) -> str:
        """Its registration's name."""
        return f"{SERVICE}\n{self.resource}"


@dataclass
class InHand:
    """An event that a worker has claimed, when `upto` was the newest message. No two have the same number."""

    number: int
    event: Event
    answer: Send
    upto: int
    left: list[Registration]
    is_final: bool = True


@dataclass
class Call:
    """By its one caller. `rang`: registrations that were told, and of no end."""

    id: str
    user: str
    rang: set[str] = field(default_factory=set)
    is_over: bool = False
