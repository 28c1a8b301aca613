"""What others may see of an account: the operations of lua/68_sight.lua. Every method waits, and raises StoreError."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Absence:
    """For how long nobody of an account has been available; None: nobody ever was, as far as is known. `presence` is
    the last unavailable presence as its sender wrote it, b"" if there was none.
    """

    since_ms: int | None
    presence: bytes = b""


class Sight:
    """`user` is a bare JID, `asker` a full one. The asker sees its own account, and those whose presence it gets."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._journal = mailbox.journal

    def resources(self, *, user: str, asker: str) -> list[str] | None:
        """Resourceparts of the available sessions. None: there is no such account for this asker."""
        reply = self._journal.call("FCALL", function("seen"), 1, keys.prefix(user), user, asker)
        return [name.decode() for name in reply[1:]] if reply[0] == b"yes" else None

    def absence(self, *, user: str, asker: str) -> Absence | None:
        """XEP-0012: since when nobody is available; 0 ms when somebody is. None: no such account for this asker."""
        reply = self._journal.call("FCALL", function("last_activity"), 1, keys.prefix(user), user, asker)
        match reply[0]:
            case b"no":
                return None
            case b"here":
                return Absence(0)
            case b"left":
                return Absence(max(0, int(reply[1])), bytes(reply[2]))
            case _:
                return Absence(None)
