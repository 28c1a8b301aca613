"""From Redis into SQL, one account at a time: read, commit, and only then let go.

The order is what keeps the archive whole. Entries are copied and committed first; then one operation takes them out of
Redis and raises the mark up to which readers ask SQL. Killed anywhere between, the next round copies the same entries
again, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.archive.errors import ArchiveError
from gateway.archive.store import ArchiveStore
from gateway.mailbox.archive_moves import ArchiveMoves


class Mover:
    """Moves what is due. `step` is called between the steps, with the name of the one that was done: for tests."""

    def __init__(self, moves: ArchiveMoves, store: ArchiveStore, step: Callable[[str], None] | None = None) -> None:
        self._moves = moves
        self._store = store
        self._step = step or (lambda _name: None)

    def move(self, user: str) -> int:
        """Move what is due of one account; answers how many entries. Raises StoreError, ArchiveError."""
        count = 0
        while True:
            entries = self._moves.take(user)
            self._step("taken")
            if not entries:
                return count
            try:
                self._store.insert(user, entries)
            except ArchiveError:
                self._moves.moved(user, None)
                raise
            self._step("committed")
            self._moves.moved(user, entries[-1].id)
            self._step("moved")
            count += len(entries)
