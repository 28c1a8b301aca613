"""Block lists (XEP-0191): whom an account does not want to hear of. Whether somebody is blocked, the operations that
take stanzas ask themselves (`Blocking.blocks` in lua/67_blocking.lua), so that nothing passes between look and act.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox, placed
from gateway.mailbox.model import Grip, Placed
from gateway.xmpp.jid import JID

Refusal = Literal["full", "stale"]
"""The list stays as it was: it would get too long, or the session is another connection's by now."""


@dataclass(frozen=True, slots=True)
class Change:
    """The list has changed. `placed`: pushes to the devices that asked for the list. `told`: outbox entries about who
    may see something else of the account now, each with the fields that `Visibility.carry` takes.
    """

    placed: tuple[Placed, ...]
    told: tuple[tuple[str, dict[str, bytes]], ...]


class Blocklists:
    """Operations on accounts' block lists. Every method waits, and raises StoreError.

    JIDs are prepared ones; `user` is the account's bare JID, `grip` the session that asks.
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def fetch(self, grip: Grip, user: str) -> list[str] | Refusal:
        """The list, sorted; from now on the session gets the pushes."""
        reply = self._call("blocklist", grip, user, grip.sid, grip.epoch)
        return reply if isinstance(reply, str) else sorted(jid.decode() for jid in reply)

    def block(self, grip: Grip, user: str, jids: Iterable[str], *, push: bytes, most: int) -> Change | Refusal:
        """Add to the list, which may then have `most` entries; all of them or none.

        `push` is the payload for the sessions that asked for the list.
        """
        reply = self._call("block", grip, user, grip.sid, grip.epoch, _name(), push, most, *self._mailbox.limits, *jids)
        return reply if isinstance(reply, str) else _change(user, reply)

    def unblock(self, grip: Grip, user: str, jids: Iterable[str], *, push: bytes) -> Change | Refusal:
        """Take off the list; none given: all of it. What was not on it is passed over."""
        reply = self._call("unblock", grip, user, grip.sid, grip.epoch, _name(), push, *self._mailbox.limits, *jids)
        return reply if isinstance(reply, str) else _change(user, reply)

    def has(self, jid: JID, *, of: JID) -> bool:
        """Whether the account `of` blocks this address."""
        user = str(of.bare)
        return bool(self._mailbox.journal.call("FCALL", function("does_block"), 1, keys.prefix(user), user, str(jid)))

    def _call(self, operation: str, grip: Grip, *arguments: bytes | str | int) -> list[Any] | Refusal:
        reply: list[Any] = self._mailbox.journal.call("FCALL", function(operation), 1, grip.at, *arguments)
        refusal: Refusal = reply[0].decode()
        return reply[1:] if reply[0] == b"ok" else refusal


def _change(user: str, reply: list[Any]) -> Change:
    flat = reply[0]
    told = tuple(
        (flat[i].decode(), {"user": user.encode(), "contact": flat[i + 1], "sid": flat[i + 2]})
        for i in range(0, len(flat), 3)
    )
    return Change(placed(reply[1:]), told)


def _name() -> str:
    """A request's name, by which the mailbox knows it again should the journal have to send it twice."""
    return secrets.token_hex(8)
