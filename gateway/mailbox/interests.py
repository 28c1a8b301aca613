"""What sessions' clients want to be told of (XEP-0115, `+notify`), and the last items they get for it: the operations
of `lua/68_pubsub_session.lua`. Nothing here waits: one answer brings the next request.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreError
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox, placed
from gateway.mailbox.model import Grip
from gateway.mailbox.pubsubs import Means
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID


@dataclass(frozen=True, slots=True)
class Eager:
    """A session that is to get last items."""

    jid: JID
    grip: Grip


class Interests:
    """One for each mailbox and process: take it from `of`."""

    _all: WeakKeyDictionary[Mailbox, Interests] = WeakKeyDictionary()

    def __init__(self, means: Means) -> None:
        self._journal = means.mailbox.journal
        self._limits = means.mailbox.limits
        self._announce = means.announce
        self._process = "@" + secrets.token_hex(8)
        self._serials = itertools.count(1)

    @classmethod
    def of(cls, means: Means) -> Interests:
        """The one of this process: requests are numbered, so that the mailbox takes none twice."""
        found = cls._all.get(means.mailbox)
        if found is None:
            found = cls._all[means.mailbox] = cls(means)
        return found

    def keep(self, jid: JID, grip: Grip, nodes: str) -> None:
        """Keep what the session's client wants: node names, each between line feeds, or "". If the session is
        available it gets the last items of what it did not want before, of its own account and of those whose presence
        it gets.
        """
        session = Eager(jid, grip)

        def done(reply: Any) -> None:
            if isinstance(reply, StoreError) or reply[0] != b"ok":
                return
            self._announce(placed(reply[2:]))
            if reply[1] != b"\n":
                self._ask_sources(session, reply[1], b"0")

        self._submit(
            done, "interest", grip.at, self._process, next(self._serials), grip.sid, grip.epoch, nodes, *self._limits
        )

    def acquaint(self, owner: str, contact: str) -> None:
        """`contact` gets the presence of `owner` from now on (both bare JIDs): its sessions get the last items of the
        nodes that they want (XEP-0163 section 4.3.4).
        """
        at = keys.prefix(contact)

        def done(reply: Any) -> None:
            if isinstance(reply, StoreError):
                return
            for i in range(0, len(reply), 4):
                sid, epoch, resource, nodes = reply[i : i + 4]
                bare = JID.parse(contact)
                session = Eager(JID(bare.local, bare.domain, resource.decode()), Grip(at, sid.decode(), int(epoch)))
                self._ask_last(session, owner, nodes)

        self._submit(done, "eager", at, contact)

    def gone(self, jid: JID, sid: str) -> None:
        """A session came first, or went last: items that were to last no longer than that are purged."""
        user = str(jid.bare)
        self._submit(_ignore, "gone", keys.prefix(user), user, sid)

    def _ask_sources(self, session: Eager, nodes: bytes, cursor: bytes) -> None:
        def done(reply: Any) -> None:
            if isinstance(reply, StoreError):
                return
            for owner in reply[1]:
                self._ask_last(session, owner.decode(), nodes)
            if reply[0] != b"0":
                self._ask_sources(session, nodes, reply[0])

        self._submit(done, "sources", session.grip.at, str(session.jid.bare), cursor)

    def _ask_last(self, session: Eager, owner: str, nodes: bytes) -> None:
        def done(reply: Any) -> None:
            if not isinstance(reply, StoreError) and reply:
                self._put(session, owner, reply)

        jid = str(session.jid)
        self._submit(done, "last", keys.prefix(owner), owner, escape(owner), jid, escape(jid), nodes)

    def _put(self, session: Eager, owner: str, named: list[bytes]) -> None:
        def done(reply: Any) -> None:
            if not isinstance(reply, StoreError) and reply:
                self._announce(placed(reply))

        grip = session.grip
        self._submit(
            done, "take", grip.at, self._process, next(self._serials), grip.sid, grip.epoch, owner, *self._limits,
            *named,
        )  # fmt: skip

    def _submit(self, done: Callable[[Any], None], operation: str, at: str, *arguments: bytes | str | int) -> None:
        self._journal.submit(done, "FCALL", function("pubsub_" + operation), 1, at, *arguments)


def _ignore(_reply: object) -> None:
    """Nobody waits for it; a StoreError has been logged by the journal."""
