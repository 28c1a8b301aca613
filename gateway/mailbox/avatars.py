"""What an account's sessions tell of its avatar (XEP-0153): the operations of lua/69_avatar.lua."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Telling:
    """Presence of one available session, without `to`: as its client wrote it, as others get it, and as they get it
    while the session sleeps, b"" if that is the same or nothing.
    """

    sid: str
    written: bytes
    told: bytes
    asleep: bytes


class Avatars:
    """Every method waits, and raises StoreError. `user` is a bare JID."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._journal = mailbox.journal

    def told(self, user: str) -> tuple[bytes, list[Telling]]:
        """The photo's hash as `Vault.photo` answers it, and what each session tells at the same moment."""
        photo, *flat = self._journal.call("FCALL", function("avatar_told"), 1, keys.prefix(user), user)
        return photo, [Telling(flat[i].decode(), *flat[i + 1 : i + 4]) for i in range(0, len(flat), 4)]

    def tell(self, user: str, telling: Telling, told: bytes, asleep: bytes) -> bool:
        """Others shall get `told`, or `asleep`, instead: that is what an outbox entry about the session brings them.
        False: meanwhile the session tells something else.
        """
        reply = self._journal.call(
            "FCALL", function("avatar_tell"), 1, keys.prefix(user), telling.sid, telling.told, told, asleep
        )
        return bool(reply == b"ok")
