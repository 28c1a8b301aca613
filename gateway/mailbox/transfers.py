"""Deliveries whose sender and recipient lie in different slots of a Redis Cluster, in three steps instead of one.

`dispatch` (the sender's mailbox counts the stanza and keeps it), the delivery itself, and `confirm` (the sender's
archive, copies for the sender's devices, or the error; the transfer is gone). Whoever dies in between leaves a
transfer that somebody else goes on with: what was delivered is known by its origin, what was confirmed is gone, so
each step may be done twice. See `docs/decisions/0017-across-slots.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.mailbox.dial import Part
from gateway.mailbox.errors import StoreError, StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.model import Delivery, Grip, Placed, Status
from gateway.telemetry import get_logger

log = get_logger(__name__)

Outcome = Delivery | StoreError

ErrorOf = Callable[[Status | StoreError], bytes | None]
"""the error that the sender of a refused stanza gets; None: it gets none"""

ErrorFor = Callable[[bytes, str], bytes | None]
"""the same of a stanza and its flags, for who picks up what it has not seen before"""

Copied = Callable[[tuple[Placed, ...]], None]

Read = Callable[[Any], Outcome]
"""makes an outcome of what the operations `deliver` and `deliver_component` answer"""

REFUSED = frozenset({Status.BOUNCE, Status.NO_ACCOUNT, Status.FULL})


@dataclass(frozen=True, slots=True)
class Transfer:
    """A delivery under way. `arguments` are those of the operation `deliver` with a sender's mailbox.

    `at`, `account`: the sender's mailbox; `operation`, `to`: what delivers it, and the recipient's prefix.
    """

    at: str
    account: str
    operation: str
    to: str
    arguments: tuple[Part, ...]
    is_kept: bool = True

    @classmethod
    def listed(cls, at: str, account: str, flat: Sequence[Any]) -> Transfer:
        """As the library lists it: name, ms, arguments, operation, prefix."""
        return cls(at, account, flat[-2].decode(), flat[-1].decode(), tuple(flat[2:-2]))

    @property
    def origin(self) -> str:
        """The session it came from."""
        return _text(self.arguments[3])

    @property
    def count(self) -> int:
        """Its count there."""
        return int(self.arguments[4])

    @property
    def kind(self) -> str:
        """See `entry`."""
        return _text(self.arguments[6])

    @property
    def flags(self) -> str:
        """See `entry`."""
        return _text(self.arguments[8])

    @property
    def stanza(self) -> bytes:
        """What is delivered."""
        found = self.arguments[11]
        return found if isinstance(found, bytes) else str(found).encode()


class Transfers:
    """The three steps, and the last two of them for what somebody else has begun."""

    def __init__(self, journal: Journal, *, limits: tuple[int, int], read: Read) -> None:
        self._journal = journal
        self._limits = limits
        self._read = read
        self._dispatch, self._confirm, self._list = (function(name) for name in ("dispatch", "confirm", "transfers"))

    def deliver(
        self,
        grip: Grip,
        to: str,
        operation: str,
        arguments: tuple[Part, ...],
        *,
        done: Callable[[Outcome], None],
        error_of: ErrorOf,
        copied: Copied,
    ) -> None:
        """All three steps; never blocks. `operation` delivers to the mailbox of prefix `to`. `done` gets the outcome as
        soon as nothing can be lost any more; of a refused stanza when its error is queued. `copied` is told of copies
        for the sender's other devices.
        """

        def dispatched(reply: Any) -> None:
            if isinstance(reply, StoreError):
                done(reply)
                return
            status, is_kept, account = reply[0], reply[1] == 1, reply[2].decode()
            if status == b"ok":
                transfer = Transfer(grip.at, account, operation, to, arguments, is_kept)
                self._go_on(transfer, done=done, error_of=error_of, copied=copied)
            else:
                done(Delivery(Status.DUPLICATE if status == b"done" else Status(status.decode()), (), is_kept))

        self._journal.submit(dispatched, "FCALL", self._dispatch, 1, grip.at, *arguments, operation, to)

    def pick_up(
        self,
        at: str,
        account: str,
        *,
        done: Callable[[Outcome], None],
        copied: Copied,
        error_for: ErrorFor | None = None,
        age_ms: int = 0,
    ) -> int:
        """Go on with what an account's sessions have begun `age_ms` ago or earlier, in their order.

        Waits for the list only, and answers its length; `done` gets the outcome of each. Without `error_for` what is
        refused stays, for a sweeper. Raises StoreError.
        """
        found = self._journal.call("FCALL", self._list, 1, at, account, age_ms)
        for transfer in _in_order(at, account, found):
            self._go_on(transfer, done=done, error_of=_error_of(error_for, transfer), copied=copied)
        return len(found)

    def _go_on(
        self, transfer: Transfer, *, done: Callable[[Outcome], None], error_of: ErrorOf | None, copied: Copied
    ) -> None:
        def delivered(reply: Any) -> None:
            outcome = self._read(reply)
            if isinstance(outcome, StoreUnavailable):
                done(outcome)  # the process is going down: the transfer is there
            elif isinstance(outcome, Delivery) and outcome.status not in REFUSED:
                done(replace(outcome, is_kept=transfer.is_kept))
                self._confirmed(transfer, outcome.status, b"", lambda _position: None, copied)
            elif error_of is None:
                done(outcome)
            else:
                status = outcome.status if isinstance(outcome, Delivery) else Status.BOUNCE
                error = error_of(outcome if isinstance(outcome, StoreError) else status) or b""
                refused = replace(Delivery(status), is_kept=transfer.is_kept)
                self._confirmed(transfer, status, error, lambda at: done(replace(refused, answered=at)), copied)

        self._journal.submit(delivered, "FCALL", function(transfer.operation), 1, transfer.to, *transfer.arguments)

    def _confirmed(
        self, transfer: Transfer, status: Status, error: bytes, then: Callable[[int], None], copied: Copied
    ) -> None:
        def confirmed(reply: Any) -> None:
            if isinstance(reply, StoreError):
                if not isinstance(reply, StoreUnavailable):
                    log.error("transfer_not_confirmed", error=str(reply))
                then(0)
            elif reply[0] == b"ok":
                flat = reply[2:]
                if flat:
                    places = range(0, len(flat), 3)
                    copied(tuple(Placed(flat[i].decode(), flat[i + 1].decode(), flat[i + 2]) for i in places))
                then(reply[1])
            else:
                then(0)

        self._journal.submit(
            confirmed, "FCALL", self._confirm, 1, transfer.at, transfer.account, f"{transfer.origin} {transfer.count}",
            status, *self._limits, transfer.kind, error,
        )  # fmt: skip


def _error_of(error_for: ErrorFor | None, transfer: Transfer) -> ErrorOf | None:
    if error_for is None:
        return None
    return lambda _status: error_for(transfer.stanza, transfer.flags)


def _in_order(at: str, account: str, found: Sequence[Sequence[Any]]) -> list[Transfer]:
    """Each origin's by their counts, the origin that began first before others."""
    origins: dict[str, list[tuple[int, Transfer]]] = {}
    for flat in found:
        transfer = Transfer.listed(at, account, flat)
        origins.setdefault(transfer.origin, []).append((flat[1], transfer))
    groups = sorted(origins.values(), key=lambda group: min(ms for ms, _ in group))
    return [transfer for group in groups for _, transfer in sorted(group, key=lambda each: each[1].count)]


def _text(value: Part) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
