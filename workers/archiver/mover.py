"""From Redis into SQL, one account at a time: read, commit, and only then let go.

The order is what keeps the archive whole. Entries are copied and committed first; then one operation takes them out of
Redis and raises the mark up to which readers ask SQL. Killed anywhere between, the next round copies the same entries
again, which changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gateway.archive.errors import ArchiveUnavailable
from gateway.archive.store import ArchiveStore
from gateway.mailbox.archive_moves import LEASE_MS, ArchiveMoves

COMMIT_S: Final = LEASE_MS / 1000 / 2
"""so soon after they were taken entries have to be committed; later, the account may be somebody else's"""


class Mover:
    """Moves what is due. `step` is called between the steps, with the name of the one that was done: for tests."""

    def __init__(self, moves: ArchiveMoves, store: ArchiveStore, step: Callable[[str], None] | None = None) -> None:
        self._moves = moves
        self._store = store
        self._step = step or (lambda _name: None)

    def move(self, user: str) -> int:
        """Move what is due of one account; answers how many entries. Raises StoreError, ArchiveUnavailable."""
        count = 0
        while True:
            taken_at = time.monotonic()
            entries = self._moves.take(user)
            self._step("taken")
            if not entries:
                return count
            try:
                self._store.insert(user, entries)
            except ArchiveUnavailable:
                self._moves.moved(user, None)
                raise
            self._step("committed")
            if time.monotonic() - taken_at > COMMIT_S:
                raise ArchiveUnavailable("the database took too long; the same messages are moved again")
            self._moves.moved(user, entries[-1].id)
            self._step("moved")
            count += len(entries)
