"""What contacts may see of an account that has blocked them, or blocks them no more (XEP-0191 sections 3.3 and 3.4).

The operations on block lists leave an entry in the outbox in the same step. Whoever comes first works it off, the
gateway or a sweeper; what is told is what is true then, so that twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.event import AsyncResult

from gateway.mailbox.entry import PRESENCE
from gateway.mailbox.errors import StoreError
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.presences import READS, Announce, Presences
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID


class Visibility:
    """`announce` must not block."""

    def __init__(self, mailbox: Mailbox, announce: Announce) -> None:
        self._mailbox = mailbox
        self._announce = announce
        self._presences = Presences(mailbox, announce)

    def carry(self, at: str, entry: str, fields: dict[str, bytes]) -> AsyncResult[Any]:
        """Work off one entry; it leaves the outbox once everybody has been told, and the result is there then.

        Raises StoreError.
        """
        user, contact, sid = (fields[name].decode() for name in ("user", "contact", "sid"))
        journal = self._mailbox.journal
        is_blocked, subscription, shown = journal.call(
            "FCALL", function("visibility"), 1, at, user, contact, escape(contact), sid
        )
        asks = not is_blocked and not sid and subscription.decode() in READS
        done: AsyncResult[Any] = AsyncResult()
        left = len(shown) // 2 + (1 if asks else 0)

        def told(_reply: Any) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                journal.submit(done.set, "FCALL", function("posted"), 1, at, entry)

        for i in range(0, len(shown), 2):
            self._tell(JID.parse(contact), shown[i].decode(), user, shown[i + 1], told)
        if asks:
            self._ask(JID.parse(contact), user, told)
        if not shown and not asks:
            told(None)
        return done

    def _tell(self, contact: JID, full: str, user: str, stanza: bytes, then: Callable[[Any], None]) -> None:
        """Presence of `full` for a contact's devices, or for the one that the address names."""
        if contact.is_bare:
            self._presences.meet(str(contact), full=full, bare=user, stanza=stanza, then=then)
            return

        def delivered(outcome: Any) -> None:
            if not isinstance(outcome, StoreError):
                self._announce(outcome.placed, stanza)
            then(outcome)

        self._mailbox.deliver(
            user=str(contact.bare), resource=contact.resource, sender=full, origin=None, kind=PRESENCE, type="",
            flags="", stanza=stanza, done=delivered,
        )  # fmt: skip

    def _ask(self, contact: JID, user: str, then: Callable[[Any], None]) -> None:
        """The user's devices see the contact again as well, who told them nothing while he was blocked."""

        def answered(reply: Any) -> None:
            if not isinstance(reply, StoreError):
                for i in range(0, len(reply[2]), 2):
                    full, stanza = reply[2][i].decode(), reply[2][i + 1]
                    self._presences.meet(user, full=full, bare=str(contact.bare), stanza=stanza)
            then(reply)

        self._presences.meet(str(contact.bare), full=user, bare=user, asks=True, then=answered)
