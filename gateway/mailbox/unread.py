"""What nobody has looked at yet: the counter behind an app's badge. Operations of lua/71_unread.lua.

Messages are counted where they are delivered, and a marker or an answer that an account sends is heeded there too. What
comes another way, by a publication, is told here.
"""

from __future__ import annotations

import secrets

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function


class Unread:
    """Every method waits, and raises StoreError. `user` is a bare JID."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def displayed(self, user: str, conversation: str, upto: str = "") -> None:
        """The account has seen a conversation, a JID, as far as the message `upto`: the id that its own archive gave.
        Without one, or with one that is none of the archive's: all that has come until now.
        """
        request = secrets.token_hex(8)
        self._journal.call("FCALL", function("displayed"), 1, keys.prefix(user), user, conversation, upto, request)

    def total(self, user: str) -> int | None:
        """How many messages are unread; None: none was counted yet, since no device of it was ever to be woken."""
        count, _ = self._journal.call("FCALL", function("unread"), 1, keys.prefix(user), user)
        return int(count) if count >= 0 else None

    def read_at_ms(self, user: str) -> int:
        """When the newest of its messages was found read, ms since 1970; 0: never yet."""
        _, at = self._journal.call("FCALL", function("unread"), 1, keys.prefix(user), user)
        return int(at)
