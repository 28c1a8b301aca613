"""What is not kept: messages beyond an age or a number, and everything of removed accounts.

First the mark is raised, up to which an archive holds nothing any more; then rows are deleted. Readers ask for nothing
up to the mark, so it does not matter when the deletion comes, or whether it has to be begun again.
"""

from __future__ import annotations

from gateway.archive.settings import ArchiveSettings
from gateway.archive.store import ArchiveStore
from gateway.mailbox.archive_ids import first_of
from gateway.mailbox.archive_moves import ArchiveMoves
from gateway.mailbox.archives import Ends

DAY_MS = 86_400_000


class Retention:
    """Prunes archives as the settings say. Every method raises StoreError, ArchiveError."""

    def __init__(self, moves: ArchiveMoves, store: ArchiveStore, settings: ArchiveSettings) -> None:
        self._moves = moves
        self._store = store
        self._expires_ms = settings.archive_expires_after * DAY_MS
        self._most = settings.archive_max_messages

    def prune(self, user: str) -> None:
        """Delete what one account's archive does not keep."""
        if self._expires_ms:
            self._prune_by_age(user, self._moves.ends(user))
        if self._most:
            self._prune_by_number(user)
        ends = self._moves.ends(user)
        if ends.moved:
            self._store.erase(user, ends.pruned)

    def _prune_by_age(self, user: str, ends: Ends) -> None:
        upto = first_of(ends.now_ms - self._expires_ms) - 1
        oldest = ends.first
        if ends.pruned < ends.moved:
            older = self._store.edge(user, above=ends.pruned, below=ends.moved + 1, backwards=False)
            oldest = older if older is not None else oldest
        if oldest is not None and oldest <= upto:
            self._moves.prune(user, upto)

    def _prune_by_number(self, user: str) -> None:
        ends = self._moves.ends(user)
        while ends.length > self._most:
            upto = self._moves.nth(user, ends.length - self._most)
            if upto is None or not self._moves.prune(user, upto):
                return
            ends = self._moves.ends(user)
        if ends.pruned < ends.moved:
            # The newest row that is one too many, if there are so many.
            upto = self._store.edge(
                user, above=ends.pruned, below=ends.moved + 1, backwards=True, skip=self._most - ends.length
            )
            if upto is not None:
                self._moves.prune(user, upto)

    def erase_removed(self, user: str, upto: int) -> bool:
        """Erase what a removed account left. False: it has to be done again later."""
        self._store.erase(user, upto)
        return self._moves.erased(user, upto)
