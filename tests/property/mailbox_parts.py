"""What the model of a mailbox is made of: messages, their copies in sessions, sessions, and what an ended one left."""

from __future__ import annotations

from dataclasses import dataclass, field

QUEUE, QUOTA = 3, 4


@dataclass
class Message:
    """One accepted stanza: how many copies are left, and its fate once that is decided.

    `at`: its number in the account's archive, 0 if it is not there. A carbon copy is a Message of kind c, named by its
    way and the body of what was copied; it has no fate.
    """

    body: bytes
    kind: str
    flags: str
    copies: int = 1
    fate: str = ""
    at: int = 0

    @property
    def wakes(self) -> bool:
        return "w" in self.flags

    @property
    def may_wait(self) -> bool:
        """An inactive client need not be disturbed for it (XEP-0352)."""
        return self.kind in "pe" or "h" in self.flags


@dataclass
class Copy:
    """A message in one place.

    `is_told`: an event that covers it was claimed, the device need not be told again. `is_late`: it waited.
    """

    message: Message
    is_told: bool = False
    is_late: bool = False


@dataclass
class Session:
    """`flush`: as far as its cursor may write while it is inactive. `shown`: numbers of archived messages that its
    client was shown; of those in (low, seen] the mailbox knows it. `copied`: of those it acknowledged a copy, before it
    was available.
    """

    sid: str
    resource: str
    node: str
    epoch: int = 1
    is_asleep: bool = False
    is_overdue: bool = False
    is_resumable: bool = False
    is_linked: bool = False
    is_inactive: bool = False
    has_carbons: bool = False
    priority: int | None = None
    presence: bytes = b""
    acked: int = 0
    flush: int = 0
    h: int = 0
    queue: list[Copy] = field(default_factory=list)
    backlog: list[Copy] = field(default_factory=list)
    inherited: int = 0
    aside: dict[str, bytes] = field(default_factory=dict)
    shown: set[int] = field(default_factory=set)
    low: int = 0
    seen: int = 0
    has_looked: bool = False
    copied: set[int] = field(default_factory=set)

    @property
    def jid(self) -> str:
        return f"juliet@localhost/{self.resource}"

    @property
    def tail(self) -> int:
        return self.acked + len(self.queue)

    @property
    def visible(self) -> int:
        """The tail, as far as the session's cursor is told of it."""
        return self.flush if self.is_inactive else self.tail

    @property
    def takes_messages(self) -> bool:
        return self.priority is not None and self.priority >= 0

    @property
    def is_consuming(self) -> bool:
        return not self.is_asleep and not self.is_overdue

    def must_wake(self) -> bool:
        """The push rule."""
        return (
            self.is_linked
            and not self.is_consuming
            and any(copy.message.wakes and not copy.is_told for copy in self.queue + self.backlog)
        )


@dataclass
class Ending:
    """What a session left, on its way to its fate, a piece at a time."""

    sid: str
    entries: list[Copy]
    how: str
