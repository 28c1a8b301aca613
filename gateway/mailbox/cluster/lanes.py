"""Lanes: the order of operations on a cluster. One lane for each slot, at most one group of it on its way. No I/O.

A group is one command or one MULTI … EXEC, as with a single Redis (`gateway.mailbox.journal`). What the server answers
is either good for the whole group, or a setback for the whole group: then it goes back to the head of its lane, and the
lane waits, while other lanes go on.
"""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import hiredis

from gateway.mailbox import answers
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.journal import Waiting

if TYPE_CHECKING:
    from gateway.mailbox.cluster.shard import Shard

_MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"


class State(enum.Enum):
    """Where a lane is."""

    IDLE = enum.auto()
    """nothing to do"""
    READY = enum.auto()
    """its shard will send the next group of it, as soon as there is one"""
    SENT = enum.auto()
    """a group of it is on its way"""
    HELD = enum.auto()
    """it waits after a setback"""


@dataclass(slots=True, eq=False)
class Lane:
    """What is to be done in one slot, oldest first.

    `slot` -1: commands without a key, for one server. `bucket` -1: the slot is not that of a bucket.
    """

    slot: int
    bucket: int = -1
    queued: deque[Waiting] = field(default_factory=deque)
    shard: Shard | None = None
    """who serves the slot, as far as is known"""
    state: State = State.IDLE
    setbacks: int = 0
    """so often in a row"""
    held_since: float = 0.0
    heard_at: float = 0.0
    """when something of it was answered last, or there was something to do after nothing"""
    is_proven: bool = False
    """its shard has what clients were told of this bucket"""

    @property
    def may_be_sent(self) -> bool:
        """Its shard may be sent operations of it."""
        return self.is_proven or self.bucket < 0

    @property
    def silent_s(self) -> float:
        """For how long there has been something to do, and no answer; 0 if there is nothing."""
        return 0.0 if self.state is State.IDLE else time.monotonic() - self.heard_at

    def next_group(self, weight: int, size: int) -> Group:
        """Take the next group off the queue: within `weight` and `size` bytes, but at least one operation.

        After a setback only one, to see whether the slot is served again.
        """
        queued, entries = self.queued, [self.queued.popleft()]
        weight_left, size_left = weight - entries[0][2], size - len(entries[0][0])
        while queued and weight_left > 0 and size_left > 0 and not self.setbacks:
            entry = queued.popleft()
            entries.append(entry)
            weight_left -= entry[2]
            size_left -= len(entry[0])
        return Group(self, entries, weight - weight_left)

    def give_back(self, entries: Sequence[Waiting]) -> None:
        """These come first again, in their order."""
        self.queued.extendleft(reversed(entries))


@dataclass(slots=True, eq=False)
class Group:
    """Operations of one lane that are sent together, and the replies so far.

    Replies are one; or those of MULTI, of each operation (QUEUED), and of EXEC. `missing`: so many are yet to come.
    """

    lane: Lane
    entries: list[Waiting]
    weight: int = 0
    replies: list[Any] = field(default_factory=list)
    missing: int = 0

    def __post_init__(self) -> None:
        self.missing = 1 if len(self.entries) == 1 else len(self.entries) + 2

    @property
    def data(self) -> bytes:
        """As it is sent."""
        parts = [entry[0] for entry in self.entries]
        return parts[0] if len(parts) == 1 else b"".join((_MULTI, *parts, _EXEC))


class Reason(enum.Enum):
    """Why a group was not taken."""

    MOVED = "moved"
    """another server has the slot now"""
    MOVING = "moving"
    """the slot is being moved key by key (ASK, TRYAGAIN): what its bucket holds is in two places"""
    PASSING = "passing"
    """the server or the cluster takes nothing at the moment"""


@dataclass(frozen=True, slots=True)
class Setback:
    """The whole group is to be sent again later. `host_port`: who has the slot, after MOVED."""

    why: Reason
    text: str
    host_port: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """What each operation is answered with. `again`: to be sent again at once; `is_full`: the server has no room."""

    answered: list[tuple[Waiting, Any]]
    again: Sequence[Waiting] = ()
    is_full: bool = False


def settle(group: Group) -> Settled | Setback:
    """What a complete group's replies mean. Raises StoreUnavailable if the server has forgotten the library."""
    entries, last = group.entries, group.replies[-1]
    if len(entries) == 1:
        found = group.replies
    elif isinstance(last, list):
        found = last
    else:
        return _aborted(entries, group.replies[1:-1], last)
    errors = [reply for reply in found if isinstance(reply, hiredis.ReplyError)]
    if not errors:
        return Settled(list(zip(entries, found, strict=True)))
    for error in errors:
        if setback := _setback(error):
            return setback
    values = map(answers.value_of, found)
    return Settled(list(zip(entries, values, strict=True)), is_full=any(map(answers.is_full, errors)))


def _aborted(entries: list[Waiting], queued: list[Any], why: Any) -> Settled | Setback:
    """EXEC took nothing. What cannot be taken is answered, the rest goes again."""
    for reply in (*queued, why):
        if isinstance(reply, hiredis.ReplyError) and (setback := _setback(reply)):
            return setback
    is_full = any(answers.is_full(reply) for reply in (*queued, why))
    refused: list[tuple[Waiting, Any]] = []
    again: list[Waiting] = []
    for entry, reply in zip(entries, queued, strict=True):
        if isinstance(reply, hiredis.ReplyError) or (is_full and entry[3]):
            full = is_full and (entry[3] or answers.is_full(reply))
            refused.append((entry, answers.error_of(str(reply), full=full)))
        else:
            again.append(entry)
    if not refused:
        raise StoreUnavailable(f"Redis aborted a transaction: {why}")
    return Settled(refused, again, is_full)


def _setback(error: hiredis.ReplyError) -> Setback | None:
    text = str(error)
    kind, _, rest = text.partition(" ")
    if kind == "MOVED":
        return Setback(Reason.MOVED, text, rest.partition(" ")[2])
    if kind in ("ASK", "TRYAGAIN"):
        return Setback(Reason.MOVING, text)
    if "unction not found" in text:
        raise StoreUnavailable(text)
    return Setback(Reason.PASSING, text) if answers.is_passing(error) else None
