"""Builders: an archive in Redis and SQL, filled with messages at times of the test's choice."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gateway.archive.reader import Reader
from gateway.archive.settings import ArchiveSettings
from gateway.archive.store import ArchiveStore
from gateway.mailbox import keys
from gateway.mailbox.archive_ids import to_text
from gateway.mailbox.archive_moves import ArchiveMoves
from gateway.mailbox.archives import Archives, Kept
from tests.mailbox.world import JULIET, World
from workers.archiver.archiver import Archiver
from workers.archiver.mover import Mover
from workers.archiver.retention import DAY_MS, Retention

ROMEO = "romeo@localhost"


@dataclass
class ArchiveWorld:
    """Mailboxes with an archive's SQL part."""

    mailboxes: World
    store: ArchiveStore

    @property
    def archives(self) -> Archives:
        return Archives(self.mailboxes.mailbox)

    @property
    def reader(self) -> Reader:
        return Reader(self.archives, self.store)

    def put(self, entries: Iterable[Kept], user: str = JULIET) -> None:
        """Entries as deliveries leave them in the stream, with ids of the test's choice."""
        at = keys.prefix(user)
        with self.mailboxes.redis.pipeline() as pipeline:
            for entry in entries:
                pipeline.xadd(keys.key(at, "archive", user), {"w": entry.peer, "s": entry.stanza}, id=to_text(entry.id))
            pipeline.sadd(keys.key(at, "archives"), user)
            pipeline.execute()

    def moves(self, *, recent: int = 0, recent_ms: int = 36500 * DAY_MS, token: str = "") -> ArchiveMoves:
        return ArchiveMoves(
            self.mailboxes.journal, token=token or secrets.token_hex(4), recent_ms=recent_ms, recent=recent
        )

    def move(self, *, recent: int = 0, user: str = JULIET, step: Callable[[str], None] | None = None) -> int:
        """Leave so many in Redis."""
        return Mover(self.moves(recent=recent), self.store, step).move(user)

    def retention(self, **settings: Any) -> Retention:
        return Retention(self.moves(recent=10**6), self.store, ArchiveSettings(**settings))

    def archiver(self, *, recent: int = 0, **settings: Any) -> Archiver:
        moves = self.moves(recent=recent)
        retention = Retention(moves, self.store, ArchiveSettings(**settings))
        return Archiver(self.mailboxes.journal, moves, Mover(moves, self.store), retention, interval_s=0.05)

    def everything(self, user: str = JULIET) -> list[int]:
        """All ids, as a client that pages through would get them."""
        from gateway.archive.reader import Wanted

        found: list[int] = []
        while True:
            page = self.reader.page(user, Wanted(above=found[-1] if found else 0), most=7)
            found += [entry.id for entry in page.entries]
            if page.is_complete:
                return found


def numbered(count: int, *, first_ms: int = 1_700_000_000_000, peer: str = ROMEO) -> list[Kept]:
    """Messages a second apart."""
    return [
        Kept(first_ms + 1000 * number << 20, peer, f"<message><body>m{number}</body></message>".encode())
        for number in range(count)
    ]
