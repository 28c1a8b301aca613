"""What mailbox operations answer with: values, never half a result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Status(StrEnum):
    """How a delivery ended (RFC 6121 section 8, XEP-0160)."""

    OK = "ok"
    OFFLINE = "offline"
    DROPPED = "dropped"
    DUPLICATE = "duplicate"
    NO_ACCOUNT = "no-account"
    BOUNCE = "bounce"
    FULL = "full"
    STALE = "stale"
    BLOCKED_BY_YOU = "blocked-by-you"


class Placed(msgspec.Struct, frozen=True):
    """An entry that was appended to a session's queue. `position` 0: it waits in the backlog, nobody need be told.

    There is one for each stanza that anybody gets, and a frozen dataclass takes six times as long to make.
    """

    sid: str
    node: str
    position: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of `deliver`. `is_kept`: the sender's session has its inbound count in the mailbox already.

    `archive_id`: what the recipient's archive calls the stanza, which carries it as a stanza-id then (XEP-0359); "" if
    it was not archived. `copies`: where carbon copies were appended, for the recipient's other devices or the sender's.
    `answered`: the position at which the error for the sender is queued already (0: it waits; -1: there was no room),
    or None if the caller has to see to it.
    """

    status: Status
    placed: tuple[Placed, ...] = ()
    is_kept: bool = False
    archive_id: str = ""
    copies: tuple[Placed, ...] = ()
    answered: int | None = None


@dataclass(frozen=True, slots=True)
class Grip:
    """A session that this process owns: its mailbox's key prefix, its id, and the epoch that fences every write."""

    at: str
    sid: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a stanza came from: the inbound `count` of session `sid`. A mailbox takes an origin once.

    `keep_ms`: for how long the sender may resume and send it again. `grip`: the sender's session, if it has a mailbox
    here, which keeps its part of a message in the same step. `counts`: it counts stanzas by XEP-0198: the delivery is
    then fenced by its epoch and moves its count in the same step.
    """

    sid: str
    count: int
    keep_ms: int
    grip: Grip | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Bound:
    """The outcome of `bind`: the server's clock (ms), and the session it replaced with the node that owned it.

    `placed`: what the account's other sessions were told about the replaced one.
    """

    grip: Grip
    at_ms: int
    replaced: str
    replaced_node: str
    placed: tuple[Placed, ...] = ()


@dataclass(frozen=True, slots=True)
class Resumed:
    """The outcome of a resumption: marks of the cursor, the inbound count, and the node that owned it until now.

    `base`: the position after which XEP-0198 counts; `at_ms`: the server's clock; entries older than it come late.
    """

    grip: Grip
    inbound: int
    acked: int
    tail: int
    former_node: str
    resource: str
    priority: int | None
    at_ms: int
    max_ms: int
    base: int


@dataclass(frozen=True, slots=True)
class NotResumed:
    """Why a session cannot be resumed.

    `h` is what it had handled, if that is still known; `tail` is set when h was too high.
    """

    h: int | None = None
    tail: int | None = None


@dataclass(frozen=True, slots=True)
class SessionLine:
    """One session as `wakegate user sessions` shows it; times in ms since 1970, 0 for none."""

    resource: str
    sid: str
    state: str
    node: str
    acked: int
    tail: int
    backlog: int
    priority: int | None
    bound_at: int
    deadline: int
    has_push: bool


@dataclass(frozen=True, slots=True)
class Census:
    """Numbers of all buckets together."""

    accounts: int
    sleeping: int
    events: int
    oldest_event_ms: int
    retries: int
    outbox: int
    fates: dict[str, int]
