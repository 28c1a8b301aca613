"""The mailbox: a typed face of the operations in `lua/`. One method, one atomic step.

Methods with a `done` callback are the hot path: they return at once and the answer comes in the order of submission;
`done` must not block, and gets a StoreError as a value when the store failed. The others wait, and raise StoreError.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

from gateway.mailbox import keys
from gateway.mailbox.entry import Entry, decode
from gateway.mailbox.errors import StoreError, StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.model import Bound, Delivery, Grip, NotResumed, Origin, Placed, Resumed, Status
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from gateway.mailbox.transfers import Copied, ErrorFor, ErrorOf, Outcome, Transfers

_STATUS = {status.encode(): status for status in Status}
_ONLY = {(status.encode(), kept, b"", 0): Delivery(status, (), kept == 1) for status in Status for kept in (0, 1)}
_FCALL = {name: function(name) for name in (
    "deliver", "deliver_component", "append", "read", "handled", "ack", "overdue", "bind", "enable", "presence",
    "hibernate", "peek", "resume", "close", "finish", "register", "unregister", "rest", "carbons",
)}  # fmt: skip


_PROCESS_KEEP_MS = 3_600_000
"""longer than any outage over which a journal keeps what it could not get answered"""


def placed(flat: Sequence[Any]) -> tuple[Placed, ...]:
    """Read `sid, node, position, …` as the library answers it."""
    return tuple(Placed(flat[i].decode(), flat[i + 1].decode(), int(flat[i + 2])) for i in range(0, len(flat), 3))


def delivery(reply: Any) -> Outcome:
    """Read what the operations `deliver` and `deliver_component` answer."""
    if isinstance(reply, StoreError):
        return reply
    if len(reply) == 4 and not reply[2]:
        return _ONLY[tuple(reply)]
    told, n = placed(reply[4:]), reply[3]
    return Delivery(_STATUS[reply[0]], told[:n], reply[1] == 1, reply[2].decode(), told[n:])


def _no_error(_outcome: Status | StoreError) -> None:
    """Its sender is told nothing."""


def _untold(_placed: tuple[Placed, ...]) -> None:
    """Owners find by themselves that queues have grown."""


RESUME_TRIES: Final = 3
"""An earlier try of the same client, which gave it up while Redis was slow, may come in between."""


class Mailbox:
    """Operations on accounts' mailboxes, through one journal.

    `node` is this process's name as an owner of sessions; `components` are the domains of external components
    (XEP-0114), each of which is one mailbox.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        node: str,
        smacks: SmacksSettings,
        offline: OfflineSettings,
        components: Collection[str] = (),
    ) -> None:
        self.journal = journal
        self.node = node
        self._components = frozenset(components)
        self.limits = (smacks.smacks_max_queue_size, offline.access_max_user_messages)
        self._resend = smacks.resend
        self._kept_old = smacks.smacks_max_old_sessions
        self._most_sessions = smacks.max_user_sessions
        self._lead_ms = int(smacks.smacks_last_call * 1000)
        self._process = "@" + secrets.token_hex(8)
        self._serials = itertools.count(1)
        self._transfers = Transfers(journal, limits=self.limits, read=delivery)

    def component_of(self, jid: str) -> str:
        """The domain of the external component at which this bare JID is; "" if it is at none."""
        domain = jid.rpartition("@")[2] if self._components else ""
        return domain if domain in self._components else ""

    def deliver(
        self,
        *,
        user: str,
        resource: str,
        sender: str,
        origin: Origin | None,
        kind: str,
        type: str,  # noqa: A002 - the attribute's name
        flags: str,
        stanza: bytes,
        split: int = 0,
        done: Callable[[Outcome], None],
        error_of: ErrorOf = _no_error,
        copied: Copied = _untold,
    ) -> None:
        """Put one stanza into the mailbox of `user` (a bare JID), by the rules of RFC 6121 section 8.

        `sender` is the sender's full JID, `kind` and `flags` are those of `entry`, `type` the stanza's type. `split` is
        where a child is added to the stanza: bytes before its end tag, for what may be archived. Without an `origin`
        the delivery is still taken once by the mailbox, however often the journal has to send it. `error_of` and
        `copied` are asked, and told, where one step is not enough: see `Transfers.deliver`.
        """
        operation, named, grip = "deliver", user, origin.grip if origin else None
        if component := self.component_of(user):
            operation, named = "deliver_component", component
        at = keys.prefix(named)
        epoch = grip.epoch if grip and origin and origin.counts else ""
        arguments = (
            user, resource, sender,
            origin.sid if origin else self._process,
            origin.count if origin else next(self._serials),
            max(1, origin.keep_ms) if origin else _PROCESS_KEEP_MS,
            kind, type, flags, *self.limits, stanza, epoch, grip.sid if grip else "", sender.partition("/")[0], split,
        )  # fmt: skip
        if grip and self.journal.is_sharded and grip.at != at:
            self._transfers.deliver(grip, at, operation, arguments, done=done, error_of=error_of, copied=copied)
            return
        self.journal.submit(
            lambda reply: done(delivery(reply)),
            "FCALL", _FCALL[operation], *((2, at, grip.at) if grip else (1, at)), *arguments,
        )  # fmt: skip

    def _tries(self, at: str) -> Iterator[int]:
        """Tries to take a session of the bucket, each with how often Redis was asked so far for what clients were told.

        If it is asked again before the session is known to this process, the session was left out, and the try is no
        success: the same request again gets it. Raises StoreUnavailable after the last try.
        """
        for _ in range(RESUME_TRIES):
            yield self.journal.line.proofs(at)
        raise StoreUnavailable("others take this session, or Redis is another, each time")

    def _go_on(self, at: str, user: str) -> None:
        """What a lost session of the account had under way comes before what its next one sends."""
        if self.journal.is_sharded:
            self.pick_up(at, user, done=lambda _outcome: None)

    def pick_up(
        self,
        at: str,
        account: str,
        *,
        done: Callable[[Outcome], None],
        copied: Copied = _untold,
        error_for: ErrorFor | None = None,
        age_ms: int = 0,
    ) -> int:
        """See `Transfers.pick_up`."""
        return self._transfers.pick_up(at, account, done=done, copied=copied, error_for=error_for, age_ms=age_ms)

    def append(
        self, grip: Grip, *, kind: str, flags: str, inbound: int | None, stanza: bytes, done: Callable[[Any], None]
    ) -> None:
        """Queue an entry for one session, together with the inbound count it answers (None: it answers nothing).

        `done` gets (status, position, tail): status ok, duplicate, full, dropped or stale; `position` is 0 unless ok,
        `tail` unless ok or duplicate.
        """

        def answered(reply: Any) -> None:
            done(reply if isinstance(reply, StoreError) else (reply[0].decode(), *(reply[1:] or (0, 0))))

        self.journal.submit(
            answered, "FCALL", _FCALL["append"], 1, grip.at, grip.sid, grip.epoch, kind, flags,
            "" if inbound is None else inbound, *self.limits, stanza, next(self._serials),
        )  # fmt: skip

    def read(self, grip: Grip, *, position: int, most: int, most_bytes: int, done: Callable[[Any], None]) -> None:
        """Entries from `position` on. `done` gets (tail, [Entry, …]), or None when the session is no longer ours."""

        def answered(reply: Any) -> None:
            if isinstance(reply, StoreError):
                done(reply)
            elif reply[0] != b"ok":
                done(None)
            else:
                entries: list[Entry] = [decode(raw) for raw in reply[2:]]
                done((reply[1], entries))

        self.journal.submit(
            answered, "FCALL", _FCALL["read"], 1, grip.at, grip.sid, grip.epoch, position, most, most_bytes
        )

    def handled(self, grip: Grip, h: int, done: Callable[[bool | StoreError], None]) -> None:
        """Keep the inbound count `h` (absolute), before the <a/> that tells it.

        `done` gets whether the session is ours.
        """
        self.journal.submit(
            lambda reply: done(reply if isinstance(reply, StoreError) else reply == b"ok"),
            "FCALL", _FCALL["handled"], 1, grip.at, grip.sid, grip.epoch, h,
        )  # fmt: skip

    def ack(self, grip: Grip, h: int, done: Callable[[Any], None]) -> None:
        """The client has everything up to `h` (absolute). `done` gets (status, tail): ok, too-high or stale."""

        def answered(reply: Any) -> None:
            done(reply if isinstance(reply, StoreError) else (reply[0].decode(), reply[1] if len(reply) > 1 else 0))

        self.journal.submit(answered, "FCALL", _FCALL["ack"], 1, grip.at, grip.sid, grip.epoch, h, *self.limits)

    def overdue(self, grip: Grip, is_overdue: bool, done: Callable[[Any], None]) -> None:
        """The client does not answer <r/>, or does again: what the push rule needs to know.

        `done` gets [b"ok", tail] (presence that had waited is in the queue now), or b"stale".
        """
        self.journal.submit(
            done,
            "FCALL",
            _FCALL["overdue"],
            1,
            grip.at,
            grip.sid,
            grip.epoch,
            "1" if is_overdue else "0",
            *self.limits,
        )

    def rest(self, grip: Grip, is_inactive: bool, done: Callable[[int | StoreError | None], None]) -> None:
        """The client's state (XEP-0352). `done` gets the tail as far as the cursor may write, or None when the session
        is no longer ours.
        """

        def answered(reply: Any) -> None:
            done(reply if isinstance(reply, StoreError) else reply[1] if reply[0] == b"ok" else None)

        self.journal.submit(
            answered, "FCALL", _FCALL["rest"], 1, grip.at, grip.sid, grip.epoch, "1" if is_inactive else "0",
            *self.limits,
        )  # fmt: skip

    def carbons(self, grip: Grip, is_on: bool) -> bool:
        """Copies of other devices' messages for this session (XEP-0280). False: the session is no longer ours."""
        reply = self.journal.call("FCALL", _FCALL["carbons"], 1, grip.at, grip.sid, grip.epoch, "1" if is_on else "0")
        return bool(reply == b"ok")

    def bind(self, *, user: str, resource: str, sid: str, owner: str, jid_xml: str, user_xml: str) -> Bound | str:
        """Claim a full JID for a new session. Answers Bound, or 'no-account' or 'too-many'.

        `owner` names the connection (so that a request sent twice is taken once); `jid_xml` and `user_xml` are the full
        and bare JID escaped for XML. A live or sleeping session of the same resource is replaced; what it held comes
        again with the new one.
        """
        at, found = keys.prefix(user), tuple[Placed, ...]()
        for proofs in self._tries(at):
            reply = self.journal.call(
                "FCALL", _FCALL["bind"], 1, at, user, resource, sid, self.node, owner, jid_xml, user_xml,
                self._most_sessions, self._kept_old, *self.limits, timeout_s=self.journal.answer_timeout_s,
            )  # fmt: skip
            if reply[0] != b"ok":
                return str(reply[0].decode())
            found += placed(reply[4:])
            self._go_on(at, user)
            if self.journal.line.proofs(at) == proofs:
                break
        return Bound(Grip(at, sid, 1), reply[1], reply[2].decode(), reply[3].decode(), found)

    def enable(self, grip: Grip, *, is_resumable: bool, max_ms: int, push_max_ms: int, base: int) -> int | None:
        """XEP-0198 is on. Counts start here: positions up to `base` were before it, the socket took them.

        `max_ms`: how long it may be resumed; `push_max_ms`: the same once a push registration is linked (0: the client
        asked for `max` itself). Answers the ms granted, or None when the session is no longer ours.
        """
        reply = self.journal.call(
            "FCALL", _FCALL["enable"], 1, grip.at, grip.sid, grip.epoch,
            "1" if is_resumable else "0", max_ms, push_max_ms, base, *self.limits,
        )  # fmt: skip
        return int(reply[1]) if reply[0] == b"ok" else None

    def serial(self) -> int:
        """A number for an operation of a session's owner that must not run twice; higher than all before it."""
        return next(self._serials)

    def presence(self, grip: Grip, *, priority: int | None, stanza: bytes, done: Callable[[Any], None]) -> None:
        """Keep the session's presence (None: unavailable) and tell the account's other resources.

        The first one of non-negative priority lets offline messages flow in. `done` gets (tail, former priority,
        placed), or None when the session is no longer ours.
        """

        def answered(reply: Any) -> None:
            if isinstance(reply, StoreError):
                done(reply)
            elif reply[0] != b"ok":
                done(None)
            else:
                done((reply[2], int(reply[1]) if reply[1] else None, placed(reply[3])))

        self.journal.submit(
            answered, "FCALL", _FCALL["presence"], 1, grip.at, grip.sid, grip.epoch,
            "" if priority is None else priority, *self.limits, stanza, next(self._serials),
        )  # fmt: skip

    def hibernate(self, grip: Grip, *, sent: int = -1, grace_ms: int = 0, told: int = 0) -> str:
        """The socket is gone. Answers ok, stale, or not-resumable (then `close` it).

        `sent`: the position up to which it was written to. If that is all there is, the push for it waits `grace_ms`:
        it may have arrived, and the client may be back in a moment. `told`: the inbound count that the client was told,
        or may have been: if Redis does not know of it, the session cannot be resumed.
        """
        return str(self.journal.call(*self._hibernation(grip, sent, grace_ms, told))[0].decode())

    def submit_hibernate(
        self, grip: Grip, *, sent: int, grace_ms: int, told: int, done: Callable[[str | StoreError], None]
    ) -> None:
        """As `hibernate`, without waiting for it."""
        self.journal.submit(
            lambda reply: done(reply if isinstance(reply, StoreError) else reply[0].decode()),
            *self._hibernation(grip, sent, grace_ms, told),
        )

    def _hibernation(self, grip: Grip, sent: int, grace_ms: int, told: int) -> tuple[str | int, ...]:
        called = ("FCALL", _FCALL["hibernate"], 1, grip.at, grip.sid, grip.epoch)
        return (*called, self._lead_ms, sent, grace_ms, told)

    def resume(self, *, user: str, sid: str, h: int, owner: str) -> Resumed | NotResumed:
        """Take a session over, on whatever node it was; `h` as on the wire. Of several at once the last one has it.

        Raises StoreUnavailable if others take it each time: <failed/> would have the client forget the session.
        """
        at = keys.prefix(user)
        at_most_s = self.journal.answer_timeout_s  # nobody is let in who would have to wait at once
        for proofs in self._tries(at):
            epoch = self.journal.call("FCALL", _FCALL["peek"], 1, at, sid, timeout_s=at_most_s) or b"0"
            took = ("FCALL", _FCALL["resume"], 1, at, user, sid, epoch, h, self.node, owner, *self.limits)
            reply = self.journal.call(*took, timeout_s=at_most_s)
            if reply[0] == b"ok":
                self._go_on(at, user)
                if self.journal.line.proofs(at) == proofs:
                    break
            elif reply[0] != b"lost":
                break
        if reply[0] == b"gone":
            return NotResumed(h=reply[1])
        if reply[0] == b"too-high":
            return NotResumed(h=reply[2], tail=reply[1])
        if reply[0] != b"ok":
            return NotResumed()
        return Resumed(
            grip=Grip(at, sid, reply[1]), inbound=reply[2], acked=reply[3], tail=reply[4],
            former_node=reply[5].decode(), resource=reply[6].decode(), priority=int(reply[7]) if reply[7] else None,
            at_ms=reply[8], max_ms=reply[9], base=reply[10],
        )  # fmt: skip

    def close(self, grip: Grip) -> tuple[Placed, ...]:
        """The session ends now; its remainder gets its fate. Answers what other sessions got by it."""
        reply = self.journal.call(
            "FCALL", _FCALL["close"], 1, grip.at, grip.sid, grip.epoch, self._resend, *self.limits, self._kept_old
        )
        return self.finish(grip.at, grip.sid, reply) if reply[0] != b"stale" else ()

    def finish(self, at: str, sid: str, reply: Any = None) -> tuple[Placed, ...]:
        """Go on with an end that was too large for one operation, until it is done.

        `reply` is the first piece's answer, if any.
        """
        found: tuple[Placed, ...] = ()
        while reply is None or reply[0] == b"more":
            if reply is not None:
                found += placed(reply[1:])
            reply = self.journal.call("FCALL", _FCALL["finish"], 1, at, sid, self._resend, *self.limits)
        return found + placed(reply[1:])

    @property
    def end_arguments(self) -> tuple[str, int, int, int]:
        """What an operation that ends sessions has to know: resend_on_timeout, queue limit, quota, old h kept."""
        return (self._resend, *self.limits, self._kept_old)

    def register(
        self, grip: Grip, *, user: str, field: str, registration: bytes, most: int, done: Callable[[Any], None]
    ) -> None:
        """Keep one push registration (JSON) for this session's device; at most `most` per account, the oldest goes."""
        self.journal.submit(
            done, "FCALL", _FCALL["register"], 1, grip.at, user, field, registration, grip.sid, grip.epoch, most
        )

    def unregister(self, *, user: str, service: str, node: str, done: Callable[[Any], None]) -> None:
        """Forget the registrations of one push service (`node` '': all of it)."""
        self.journal.submit(done, "FCALL", _FCALL["unregister"], 1, keys.prefix(user), user, service, node)
