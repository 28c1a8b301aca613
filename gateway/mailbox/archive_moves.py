"""The worker's side of archives: what leaves Redis for SQL, what is too old to be kept, what a removed account left.

Every operation may be repeated, and any worker may die between any two of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.mailbox import keys
from gateway.mailbox.archive_ids import to_text
from gateway.mailbox.archives import Ends, Kept, ends_of, entries_of, id_of
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function

LEASE_MS: Final = 30_000
"""So long at least an archive is a worker's that took entries of it. What is not committed until then must never be:
the account may have been removed, and its rows erased.
"""

PIECE: Final = 500
"""entries moved at once"""

# KEYS[1] hash   ARGV entries moved, when (ms). Archives leave a Redis that is full as well: more than ever.
_FINISHED: Final = """#!lua flags=allow-oom
    redis.call('HINCRBY', KEYS[1], 'moved', ARGV[1])
    redis.call('HSET', KEYS[1], 'round_ms', ARGV[2])
"""


class ArchiveMoves:
    """One worker's moves; `token` names it among all workers. Every method waits, and raises StoreError.

    `recent_ms` and `recent`: how old, and how many, entries may be to stay in Redis.
    """

    def __init__(self, journal: Journal, *, token: str, recent_ms: int, recent: int, lease_ms: int = LEASE_MS) -> None:
        self._journal = journal
        self._lease_ms = lease_ms
        self._token = token
        self._recent = (recent_ms, recent)

    def _call(self, operation: str, user: str, *arguments: str | int) -> Any:
        return self._journal.call("FCALL", function(operation), 1, keys.prefix(user), user, *arguments)

    def _bucket_call(self, operation: str, bucket: int, *arguments: str | int) -> Any:
        return self._journal.call("FCALL", function(operation), 1, keys.bucket_prefix(bucket), *arguments)

    def due(self, bucket: int, *, everybody: bool = False) -> Iterator[str]:
        """Accounts of a bucket from whose archives something is to be moved; or all that have an archive."""
        cursor = "0"
        while True:
            reply = self._bucket_call("archive_due", bucket, cursor, *self._recent, "1" if everybody else "0")
            yield from (user.decode() for user in reply[1:])
            cursor = reply[0].decode()
            if cursor == "0":
                return

    def take(self, user: str) -> tuple[Kept, ...]:
        """The oldest entries that are to be moved, oldest first; none if there are none, or another worker has them."""
        reply = self._call("archive_take", user, self._token, self._lease_ms, *self._recent, PIECE)
        return entries_of(reply[1:]) if reply[0] == b"ok" else ()

    def moved(self, user: str, upto: int | None) -> None:
        """SQL has committed everything up to that id: it leaves Redis. None: nothing was moved, others may try."""
        self._call("archive_moved", user, self._token, "" if upto is None else to_text(upto))

    def finished(self, count: int, at_ms: int) -> None:
        """A round over all buckets has ended, and moved so many entries: for operators."""
        self._journal.call("EVAL", _FINISHED, 1, keys.ARCHIVER, count, at_ms)

    def prune(self, user: str, upto: int) -> bool:
        """Everything up to that id is gone for readers, and out of Redis; then it may be deleted in SQL.

        False: nothing was to be done.
        """
        return bool(self._call("archive_prune", user, to_text(upto)) == b"ok")

    def nth(self, user: str, n: int) -> int | None:
        """The id of the nth recent entry, counted from the oldest; or of an earlier one if that is far."""
        reply = self._call("archive_nth", user, n)
        return id_of(reply) if reply else None

    def ends(self, user: str) -> Ends:
        """As `Archives.ends`."""
        return ends_of(self._call("archive_ends", user))

    def removed(self, bucket: int) -> Iterator[tuple[str, int]]:
        """Removed accounts of a bucket, and the id up to which their rows are to be erased."""
        cursor = "0"
        while True:
            reply = self._bucket_call("archive_removed", bucket, cursor)
            for i in range(1, len(reply), 2):
                yield reply[i].decode(), id_of(reply[i + 1])
            cursor = reply[0].decode()
            if cursor == "0":
                return

    def erased(self, user: str, upto: int) -> bool:
        """SQL has no row of the removed account any more. False: another worker might still add one, so erase again."""
        return bool(self._call("archive_erased", user, to_text(upto)) == b"ok")
