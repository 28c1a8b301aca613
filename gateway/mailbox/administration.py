"""What an operator does with accounts (XEP-0133), for whoever asks: the command line, or an ad-hoc command."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox, placed
from gateway.mailbox.model import Placed
from gateway.mailbox.notices import publish_removed

PIECE = 200
"""accounts looked at by one operation"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an account. Times in ms since 1970, 0 for never."""

    is_disabled: bool
    created_at: int
    last_login: int
    offline: int
    contacts: int
    registrations: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Sessions that an operator ended: how many, and what others got by it, to be announced."""

    sessions: int
    placed: tuple[Placed, ...]


class Administration:
    """Accounts by bare JID. Every method waits, and raises StoreError."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._journal = mailbox.journal

    def disable(self, user: str) -> Ended | None:
        """Nobody can log in, messages are refused as for an account that is not there, sessions end; what the account
        holds stays. None: there is no such account.
        """
        return self._ended(user, "disable", (), why="disabled")

    def reenable(self, user: str) -> bool:
        """The account is as it was. False: there is none."""
        return bool(self._journal.call("FCALL", function("reenable"), 1, keys.prefix(user), user) == b"ok")

    def end_sessions(self, user: str, *, resource: str = "", except_sid: str = "", why: str = "ended") -> Ended | None:
        """End an account's sessions, or the one of a resource, on whatever node; none of them can be resumed. `why` is
        one of `notices.WHY`. None: there is no such account.
        """
        return self._ended(user, "evict", (except_sid,), resource, why=why)

    def _ended(self, user: str, operation: str, more: tuple[str, ...], resource: str = "", *, why: str) -> Ended | None:
        at = keys.prefix(user)
        reply: Any = self._journal.call(
            "FCALL", function(operation), 1, at, user, resource, *self._mailbox.end_arguments, *more
        )
        if reply[0] != b"ok":
            return None
        closed, found = reply[1], placed(reply[2])
        for i in range(0, len(closed), 2):
            sid = closed[i].decode()
            publish_removed(self._journal, closed[i + 1].decode(), sid, why)
            found += self._mailbox.finish(at, sid)
        return Ended(len(closed) // 2, found)

    def standing(self, user: str) -> Standing | None:
        """None: there is no such account."""
        reply = self._journal.call("FCALL", function("standing"), 1, keys.prefix(user), user)
        return Standing(bool(reply[0]), *reply[1:]) if reply else None

    def count(self, *, disabled: bool = False) -> int:
        """Number of accounts, of all or of those that are disabled."""
        name = "disabled_accounts" if disabled else "accounts"
        return sum(int(self._journal.call("SCARD", keys.key(at, name))) for at in keys.PREFIXES)

    def page(self, *, after: str, most: int, disabled: bool = False) -> list[str]:
        """The next accounts behind `after` ("": from the first), in an order that stays: by bucket, then by name."""
        name, found = "disabled_accounts" if disabled else "accounts", list[str]()
        first = keys.bucket_of(after) if after else 0
        for bucket in range(first, keys.BUCKETS):
            if len(found) >= most:
                break
            behind = after if bucket == first else ""
            key = keys.key(keys.bucket_prefix(bucket), name)
            found += heapq.nsmallest(most - len(found), {user for user in self._members(key) if user > behind})
        return found

    def _members(self, key: str) -> Iterator[str]:
        cursor: Any = b"0"
        while True:
            cursor, members = self._journal.call("SSCAN", key, cursor, "COUNT", PIECE)
            yield from (member.decode() for member in members)
            if cursor == b"0":
                return

    def connected(self) -> Iterator[tuple[str, bool]]:
        """Accounts that have a connection now, each once, with whether one of its clients is active (XEP-0352)."""
        for bucket in range(keys.BUCKETS):
            yield from self._connected(bucket)

    def connected_page(self, *, after: str, most: int, wanted: Callable[[bool], bool]) -> list[str]:
        """As `page`, of those accounts of `connected` whose being active is `wanted`."""
        found = list[str]()
        first = keys.bucket_of(after) if after else 0
        for bucket in range(first, keys.BUCKETS):
            if len(found) >= most:
                break
            behind = after if bucket == first else ""
            users = (user for user, is_active in self._connected(bucket) if user > behind and wanted(is_active))
            found += heapq.nsmallest(most - len(found), users)
        return found

    def _connected(self, bucket: int) -> Iterator[tuple[str, bool]]:
        cursor: Any = b"0"
        seen: set[bytes] = set()
        while True:
            reply = self._journal.call("FCALL", function("attendance"), 1, keys.bucket_prefix(bucket), cursor, PIECE)
            for i in range(1, len(reply), 2):
                if reply[i] not in seen:  # a set that grows meanwhile may show a member twice
                    seen.add(reply[i])
                    yield reply[i].decode(), reply[i + 1] == b"active"
            cursor = reply[0]
            if cursor == b"0":
                return
