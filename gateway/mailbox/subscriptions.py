"""Presence subscriptions (RFC 6121 section 3) between two mailboxes: the operations of `lua/66_roster.lua`.

The user's own side comes first, and leaves an entry in its outbox in the same step. `carry` works that off: the
contact's side, the answer it gives by itself, and the presence that goes with both. Whoever comes first does it, the
gateway or a sweeper, and should it be done twice, the second time changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from gevent.event import AsyncResult

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox, placed
from gateway.mailbox.presences import Announce, Presences, wait_for

TYPES = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")

_PRESENCE_WITH = {"subscribed": "", "unsubscribed": "1"}
"""the user's presence goes with these: what it is ("") or that it is gone ("1")"""


def plain(from_: str, to: str, type_: str) -> bytes:
    """A subscription stanza between bare JIDs, which need no escaping (RFC 7622 section 3.3.1)."""
    return f"<presence from='{from_}' to='{to}' type='{type_}'/>".encode()


class RosterFull(Exception):
    """The roster takes no more items."""


class BlockedByYou(Exception):
    """The user blocks the contact (XEP-0191)."""


class Subscriptions:
    """Methods wait, and raise StoreError, unless they say otherwise. JIDs are bare."""

    def __init__(self, mailbox: Mailbox, announce: Announce) -> None:
        self._mailbox = mailbox
        self._journal = mailbox.journal
        self._limits = mailbox.limits
        self._announce = announce

    def send(self, *, user: str, contact: str, type_: str, stanza: bytes, most_items: int) -> None:
        """The user sends a subscription stanza (RFC 6121 appendix A.2). Raises RosterFull, BlockedByYou.

        Users of an external component (XEP-0114) have no mailbox here: the component keeps their side itself.
        """
        if self._mailbox.component_of(user):
            self._exchange(user, contact, type_, "", stanza, ())
            return
        at = keys.prefix(user)
        reply = self._journal.call(
            "FCALL", function("subscription_out"), 1, at, user, contact, type_, stanza, most_items, *self._limits
        )
        if reply[0] == b"full":
            raise RosterFull
        if reply[0] == b"blocked-by-you":
            raise BlockedByYou
        self._announce(placed(reply[2:]), b"")
        if reply[1]:
            self.carry(at, reply[1].decode(), user=user, contact=contact, type_=type_, stanza=stanza)

    def carry(self, at: str, entry: str, *, user: str, contact: str, type_: str, stanza: bytes) -> None:
        """Work off one outbox entry: the contact's side, and what comes back from it."""
        presence: Sequence[bytes] = ()
        if type_ in _PRESENCE_WITH:
            presence = self._journal.call("FCALL", function("shown"), 1, at, user, contact, _PRESENCE_WITH[type_])
        self._exchange(user, contact, type_, entry, stanza, presence)
        self._journal.call("FCALL", function("posted"), 1, at, entry)

    def _exchange(
        self, user: str, contact: str, type_: str, entry: str, stanza: bytes, presence: Sequence[bytes]
    ) -> None:
        reply, shown = self._receive(contact, user, type_, entry, stanza, presence)
        if reply or shown:
            self._receive(user, contact, reply, "", plain(contact, user, reply) if reply else b"", shown)

    def refused(self, *, user: str, contact: str) -> None:
        """A contact knows nothing of the subscription the user believes in: believe it no more. Never blocks."""

        def done(reply: object) -> None:
            if isinstance(reply, list) and reply[0] == b"ok":
                self._announce(placed(reply[2]), b"")

        self._journal.submit(
            done, "FCALL", function("subscription_in"), 1, keys.prefix(user), user, contact, "refused", "",
            plain(contact, user, "unsubscribed"), *self._limits,
        )  # fmt: skip

    def _receive(
        self, user: str, contact: str, type_: str, entry: str, stanza: bytes, presence: Sequence[bytes]
    ) -> tuple[str, Sequence[bytes]]:
        """What `contact` sent comes to `user`. Answers the automatic reply's type, and the presence that goes back."""
        if self._mailbox.component_of(user):
            told: AsyncResult[object] = AsyncResult()
            presences = Presences(self._mailbox, self._announce)
            presences.tell_component(user, sender=contact, stanzas=(stanza, *presence[1::2]), then=told.set)
            wait_for(told)
            return "", ()
        reply = self._journal.call(
            "FCALL", function("subscription_in"), 1, keys.prefix(user), user, contact, type_, entry, stanza,
            *self._limits, *presence,
        )  # fmt: skip
        if reply[0] != b"ok":
            return "", ()
        self._announce(placed(reply[2]), b"")
        return reply[1].decode(), reply[3]
