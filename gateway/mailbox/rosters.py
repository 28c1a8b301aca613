"""Rosters (RFC 6121 section 2): the operations of `lua/66_roster.lua`. Methods wait, and raise StoreError, if they
do not say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreError
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox, placed
from gateway.mailbox.model import Grip, Placed
from gateway.mailbox.presences import Announce
from gateway.mailbox.subscriptions import RosterFull, Subscriptions, plain
from gateway.settings import setting
from gateway.xmpp.escape import escape


@dataclass(frozen=True)
class RosterSettings:
    """[roster] RFC 6121 section 2: limits of contact lists."""

    max_items: int = setting(1000, unit="contacts", least=1, most=1000, help="Contacts one account may have.")
    max_name_length: int = setting(
        256, unit="characters", least=1, most=1023, help="Of a contact's name, and of each group's."
    )
    max_groups: int = setting(20, unit="groups", least=0, most=100, help="Groups one contact may be in.")
    versioning: bool = setting(True, help="Tell clients only what has changed since they asked last (XEP-0237).")


@dataclass(frozen=True, slots=True)
class Roster:
    """What a client is told that asked. `items` None: only the changes since `version`, as pushes; else all, as XML."""

    version: int
    items: bytes | None


class NotInRoster(Exception):
    """There is no such item."""


class Rosters:
    """JIDs are bare."""

    def __init__(self, mailbox: Mailbox, announce: Announce) -> None:
        self._mailbox = mailbox
        self._journal = mailbox.journal
        self._announce = announce
        self._subscriptions = Subscriptions(mailbox, announce)

    def get(self, user: str, known: str = "") -> Roster:
        """The roster, for a client that has version `known` of it ("" = none)."""
        reply = self._journal.call("FCALL", function("roster"), 1, keys.prefix(user), user, known)
        return Roster(int(reply[1]), reply[2] if reply[0] == b"whole" else None)

    def follow(self, grip: Grip, version: int) -> None:
        """The session is interested: it gets what has changed since `version`, and what will. Never blocks."""

        def done(reply: Any) -> None:
            if not isinstance(reply, StoreError) and reply[0] == b"ok":
                self._announce((Placed(grip.sid, self._mailbox.node, reply[1]),), b"")

        self._journal.submit(
            done, "FCALL", function("roster_follow"), 1, grip.at, grip.sid, grip.epoch, version, *self._mailbox.limits
        )

    def set(self, user: str, contact: str, *, name: str, groups: Sequence[str], most_items: int) -> None:
        """Make an item, or give one another name ("" = none) and other groups. Raises RosterFull."""
        rendered = "".join(f"<group>{escape(group)}</group>" for group in groups)
        reply = self._journal.call(
            "FCALL", function("roster_set"), 1, keys.prefix(user), user, contact,
            f" name='{escape(name)}'" if name else "", msgspec.json.encode(list(groups)), rendered, most_items,
            *self._mailbox.limits,
        )  # fmt: skip
        if reply[0] == b"full":
            raise RosterFull
        self._announce(placed(reply[1:]), b"")

    def remove(self, user: str, contact: str) -> None:
        """Remove an item and cancel its subscriptions both ways (RFC 6121 section 2.5). Raises NotInRoster."""
        at = keys.prefix(user)
        reply = self._journal.call("FCALL", function("roster_remove"), 1, at, user, contact, *self._mailbox.limits)
        if reply[0] == b"absent":
            raise NotInRoster
        self._announce(placed(reply[3:]), b"")
        for type_, entry in zip(("unsubscribe", "unsubscribed"), reply[1:3], strict=True):
            if entry:
                self._subscriptions.carry(
                    at, entry.decode(), user=user, contact=contact, type_=type_, stanza=plain(user, contact, type_)
                )
