"""Presence between accounts (RFC 6121 section 4): the operations of `lua/65_presence.lua`, and who is told when.

What a session says is kept by its own mailbox first (`say`); then every contact's mailbox is asked to `meet`: one
operation, that hands the presence on and answers with the contact's own. None waits for another. A session's end is
told from the outbox, by whoever comes first: the gateway that saw it, or a sweeper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import AsyncResult

from gateway.mailbox import keys
from gateway.mailbox.entry import PRESENCE
from gateway.mailbox.errors import StoreError, StoreUnavailable
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox, placed
from gateway.mailbox.model import Grip, Placed
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID
from gateway.xmpp.start_tag import qualified_name

Announce = Callable[[tuple[Placed, ...], bytes], None]
"""tells the owners of sessions that their queues have grown, and with what, if all got the same"""

Refused = Callable[[str], None]
"""gets the bare JID of a contact that knows nothing of the subscription one believed in"""

PIECE, PIECE_BYTES = 300, 1_048_576
"""answers, and bytes of them, that go into a queue with one operation"""

MET = 100
"""contacts that are told, or asked, with one operation"""

ANSWER_S = 30.0
"""how long the end of a broadcast is waited for; later its outbox entry is still there"""

LOOKED_AT = 200
"""newest entries of an outbox among which a session's end is looked for; what is older a sweeper has seen"""

_NO_ANSWER: tuple[Any, ...] = (b"ok", (), (), ())

READS, IS_READ = frozenset({"to", "both"}), frozenset({"from", "both"})

_MEET, _MEET_ALL, _MEET_SOME, _RECEIVE, _PRESENCE, _DIRECT = (
    function(name) for name in ("meet", "meet_all", "meet_some", "receive", "presence", "direct")
)


def _around_to(stanza: bytes) -> tuple[bytes, bytes]:
    """What comes before and after the value of a `to`, for a stanza that has none yet."""
    at = 1 + len(qualified_name(stanza))
    return stanza[:at] + b" to='", b"'" + stanza[at:]


def addressed(stanza: bytes, to: str) -> bytes:
    """The stanza, which has no `to` yet, with one; `to` is a bare JID or escaped."""
    head, rest = _around_to(stanza)
    return b"%b%b%b" % (head, to.encode(), rest)


@dataclass(frozen=True, slots=True)
class Said:
    """What the account's own mailbox answers to a session's presence.

    `contacts`: (bare JID, subscription) of whom the user shares presence with; `directed`: who got directed presence
    and has to be told now; `nodes`: the PEP nodes the session wants, each between line feeds.
    """

    tail: int
    former: int | None
    contacts: tuple[tuple[str, str], ...]
    directed: tuple[str, ...]
    nodes: bytes


def _pairs(flat: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    return tuple((flat[i].decode(), flat[i + 1].decode()) for i in range(0, len(flat), 2))


class Presences:
    """`announce` must not block; `refused` may be called back from a journal, so it must not block either."""

    def __init__(self, mailbox: Mailbox, announce: Announce) -> None:
        self._mailbox = mailbox
        self._journal = mailbox.journal
        self._announce = announce

    def say(
        self,
        grip: Grip,
        *,
        user: str,
        priority: int | None,
        stanza: bytes,
        fade_ms: int,
        fade_to: str,
        written: bytes = b"",
    ) -> Said | None:
        """Keep a session's presence (priority None: unavailable) and tell the account's own resources.

        `stanza` has no `to`. Should the session sleep for `fade_ms`, others see it as `fade_to` ("away" or
        "unavailable"). `written`: as the client wrote it, if that is not `stanza`. None: the session is no longer ours.
        Waits; raises StoreError.
        """
        reply = self._journal.call(
            "FCALL", _PRESENCE, 1, grip.at, grip.sid, grip.epoch, "" if priority is None else priority,
            *self._mailbox.limits, stanza, self._mailbox.serial(), fade_ms, fade_to, written,
        )  # fmt: skip
        if reply[0] != b"ok":
            return None
        if reply[3]:
            self._announce(placed(reply[3]), addressed(stanza, user))
        former = int(reply[1]) if reply[1] else None
        return Said(reply[2], former, _pairs(reply[4]), tuple(jid.decode() for jid in reply[5]), reply[6])

    def tell(
        self,
        said: Said,
        *,
        grip: Grip,
        full: str,
        bare: str,
        stanza: bytes,
        is_initial: bool,
        refused: Refused,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Tell contacts what a session said, and with its initial presence ask for theirs, which goes into its queue.

        `full` and `bare` are the session's JIDs. `then` is called when the answers are on their way into the queue, so
        that what is queued after that comes behind them. Never blocks.
        """
        left = 1

        def done(_reply: Any = None) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                then()

        met: list[tuple[str, bool, bool]] = []
        for name, subscription in said.contacts:
            tells, asks = subscription in IS_READ, is_initial and subscription in READS
            if self._mailbox.component_of(name):
                left += asks
                body = addressed(stanza, name) if tells else b""
                self.meet(name, full=full, bare=bare, stanza=body, asks=asks, then=done if asks else None)
            elif tells or asks:
                met.append((name, tells, asks))
        pieces = self._pieces(met)
        left += len(pieces)
        for piece in pieces:
            self._meet_all(
                piece, grip=grip, full=full, bare=bare, stanza=stanza, nodes=said.nodes, refused=refused, then=done
            )
        for jid in said.directed:
            self._direct_end(jid, full, bare, stanza, None)
        done()

    def _meet_all(
        self,
        contacts: Sequence[tuple[str, bool, bool]],
        *,
        grip: Grip,
        full: str,
        bare: str,
        stanza: bytes,
        nodes: bytes,
        refused: Refused,
        then: Callable[[], None],
    ) -> None:
        """`meet` many: JID, whether it gets `stanza` (which has no `to` yet), whether it is asked. What they answer
        goes into the session's queue; `then` is called after all of that.
        """
        head, rest = _around_to(stanza)

        def done(reply: Any) -> None:
            if isinstance(reply, StoreError):
                then()
                return
            told, flat, refusing, *answers = reply
            places, at = placed(flat), 0
            for (name, *_), n in zip(contacts, told, strict=False):
                if n:
                    self._announce(places[at : at + n], b"%b%b%b" % (head, name.encode(), rest))
                    at += n
            for contact in refusing:
                refused(contact.decode())
            if self._journal.is_sharded:
                self.receive(grip, answers[0])
            else:
                self._received(grip, *answers)
            if len(told) < len(contacts):  # a piece was enough for one operation
                self._meet_all(
                    contacts[len(told) :], grip=grip, full=full, bare=bare, stanza=stanza, nodes=nodes,
                    refused=refused, then=then,
                )  # fmt: skip
            else:
                then()

        how = [part for name, tells, asks in contacts for part in (name, "t" * tells + "a" * asks)]
        who, weight = (full, bare, stanza, nodes, *self._mailbox.limits), 1 + len(contacts) // 2
        prefixes = [keys.prefix(name) for name, *_ in contacts]
        if self._journal.is_sharded:
            self._journal.submit(done, "FCALL", _MEET_SOME, 1, prefixes[0], *who, *how, weight=weight)
        else:
            self._journal.submit(
                done, "FCALL", _MEET_ALL, len(contacts) + 1, *prefixes, grip.at, grip.sid, grip.epoch, *who, *how,
                weight=weight,
            )  # fmt: skip

    def _pieces(self, contacts: list[tuple[str, bool, bool]]) -> list[list[tuple[str, bool, bool]]]:
        """What one operation can meet: so many contacts, on a cluster of one slot."""
        groups = [contacts]
        if self._journal.is_sharded:
            slots: dict[str, list[tuple[str, bool, bool]]] = {}
            for contact in contacts:
                slots.setdefault(keys.prefix(contact[0]), []).append(contact)
            groups = list(slots.values())
        return [group[i : i + MET] for group in groups for i in range(0, len(group), MET)]

    def meet(
        self,
        contact: str,
        *,
        full: str,
        bare: str,
        stanza: bytes = b"",
        asks: bool = False,
        nodes: bytes | str = "",
        besides: str = "",
        then: Callable[[Any], None] | None = None,
    ) -> None:
        """Presence of `full` for a contact's available sessions but `besides`, addressed to it already; and with `asks`
        the contact's presence is the answer. `then` gets the reply of the operation, or a StoreError.
        """
        if self._mailbox.component_of(contact):
            probe = f"<presence from='{escape(full)}' to='{contact}' type='probe'/>".encode() if asks else b""
            self.tell_component(contact, sender=full, stanzas=(stanza, probe), then=then)
            return

        def answered(reply: Any) -> None:
            if not isinstance(reply, StoreError) and reply[1]:
                self._announce(placed(reply[1]), stanza)
            if then is not None:
                then(reply)

        self._journal.submit(
            answered, "FCALL", _MEET, 1, keys.prefix(contact), contact, full, bare, stanza, "1" if asks else "", nodes,
            besides, *self._mailbox.limits,
        )  # fmt: skip

    def tell_component(
        self, contact: str, *, sender: str, stanzas: Sequence[bytes], then: Callable[[Any], None] | None
    ) -> None:
        """Presence for a contact at an external component (XEP-0114), which itself knows who may see what and answers
        by itself. Empty stanzas are left out; `then` gets what `meet` answers when there is nothing more to come.
        """
        bodies = [stanza for stanza in stanzas if stanza]
        left = len(bodies)

        def delivered(body: bytes) -> Callable[[Any], None]:
            def done(outcome: Any) -> None:
                nonlocal left
                left -= 1
                if not isinstance(outcome, StoreError):
                    self._announce(outcome.placed, body)
                if then is not None and left == 0:
                    then(outcome if isinstance(outcome, StoreError) else _NO_ANSWER)

            return done

        for body in bodies:
            self._mailbox.deliver(
                user=contact, resource="", sender=sender, origin=None, kind=PRESENCE, type="", flags="",
                stanza=body, done=delivered(body),
            )  # fmt: skip
        if not bodies and then is not None:
            then(_NO_ANSWER)

    def receive(self, grip: Grip, answers: Sequence[bytes | str]) -> None:
        """Put kind, name, stanza, … into a session's queue, piece by piece. Never blocks."""

        def received(reply: Any) -> None:
            if not isinstance(reply, StoreError):
                self._received(grip, *reply)

        piece: list[bytes | str] = []
        size = 0
        for i in range(0, len(answers), 3):
            piece.extend(answers[i : i + 3])
            size += len(answers[i + 2])
            if len(piece) >= 3 * PIECE or size >= PIECE_BYTES or i + 3 >= len(answers):
                self._journal.submit(
                    received, "FCALL", _RECEIVE, 1, grip.at, grip.sid, grip.epoch, *self._mailbox.limits, *piece
                )
                piece, size = [], 0

    def _received(self, grip: Grip, tail: int, stanzas: Sequence[bytes]) -> None:
        """A session's queue has grown to `tail` (0: it has not), at last by `stanzas`, which need not be read back."""
        if tail and not stanzas:
            self._announce((Placed(grip.sid, self._mailbox.node, tail),), b"")
        for position, stanza in enumerate(stanzas, tail - len(stanzas) + 1):
            self._announce((Placed(grip.sid, self._mailbox.node, position),), stanza)

    def direct(self, grip: Grip, to: str, *, is_available: bool) -> None:
        """Directed presence goes out (RFC 6121 section 4.6): remember who has to be told of the end. Never blocks."""
        self._journal.submit(
            lambda _reply: None,
            "FCALL", _DIRECT, 1, grip.at, grip.sid, grip.epoch, to, "1" if is_available else "0",
        )  # fmt: skip

    def farewells(self, user: str) -> None:
        """Tell at once what waits in the outbox about an account's sessions: one has just ended. Raises StoreError."""
        at = keys.prefix(user)
        for entry, flat in self._journal.call("FCALL", function("farewells"), 1, at, user, LOOKED_AT):
            fields = {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}
            self.carry(at, entry.decode(), fields)

    def carry(self, at: str, entry: str, fields: dict[str, bytes]) -> AsyncResult[Any]:
        """Work off one outbox entry about a session; it leaves the outbox once everybody has been told.

        The result is there then. Running twice does no harm: what is told is what is true now. Raises StoreError.
        """
        user, sid, resource = (fields[name].decode() for name in ("user", "sid", "resource"))
        what, stanza, flat = self._journal.call(
            "FCALL", function("audience"), 1, at, user, sid, resource, fields["jid"]
        )
        told = [name for name, subscription in _pairs(flat) if subscription in IS_READ]
        if fields.get("own") and what == b"here":
            told.append(user)
        directed = [jid for jid in fields["directed"].decode().split("\n") if jid]
        done: AsyncResult[Any] = AsyncResult()
        left = len(told) + len(directed)

        def leave() -> None:
            self._journal.submit(done.set, "FCALL", function("posted"), 1, at, entry)

        def answered(_reply: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                leave()

        full = f"{user}/{resource}"
        for contact in told:
            besides = sid if contact == user else ""
            self.meet(contact, full=full, bare=user, stanza=addressed(stanza, contact), besides=besides, then=answered)
        for jid in directed:
            self._direct_end(jid, full, user, stanza, answered)
        if not told and not directed:
            leave()
        return done

    def _direct_end(self, to: str, full: str, bare: str, stanza: bytes, then: Callable[[Any], None] | None) -> None:
        jid = JID.parse(to)
        body = addressed(stanza, escape(to))

        def delivered(outcome: Any) -> None:
            if not isinstance(outcome, StoreError):
                self._announce(outcome.placed, body)
            if then is not None:
                then(outcome)

        self._mailbox.deliver(
            user=str(jid.bare), resource=jid.resource, sender=full, origin=None, kind=PRESENCE, type="", flags="",
            stanza=body, done=delivered,
        )  # fmt: skip


def wait_for(answer: AsyncResult[Any]) -> None:
    """Wait until everybody has been told. Raises StoreError."""
    try:
        outcome = answer.get(timeout=ANSWER_S)
    except gevent.Timeout as late:
        raise StoreUnavailable("Redis did not answer in time") from late
    if isinstance(outcome, StoreError):
        raise outcome
