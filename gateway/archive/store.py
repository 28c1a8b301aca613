"""The older part of archives, in SQL. One row is one message in one account's archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.archive.database import Database
from gateway.archive.schema import MESSAGES
from gateway.mailbox.archives import PAGE_BYTES, Kept

AT_ONCE: Final = 50
"""rows read in one step; how many bytes they have is known only then"""

ERASED_AT_ONCE: Final = 2000

_OF: Final = MESSAGES.c


class ArchiveStore:
    """Rows by account (bare JID) and id. Every method waits, and raises ArchiveError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, account: str, entries: Sequence[Kept]) -> None:
        """Keep these entries; those that are there already stay as they are. Committed when it returns."""
        rows = []
        for entry in entries:
            peer, _, resource = entry.peer.partition("/")
            rows.append(
                {"account": account, "id": entry.id, "peer": peer, "resource": resource, "stanza": entry.stanza}
            )

        def work(connection: sa.Connection) -> None:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(MESSAGES).on_conflict_do_nothing(), rows)

        if rows:
            self._database.run(work)

    def page(
        self, account: str, *, above: int, below: int, backwards: bool, most: int, peer: str = ""
    ) -> tuple[tuple[Kept, ...], bool]:
        """Entries with `above` < id < `below`, in order or against it, and whether there are no others in that range.

        At most `most`, and about a MiB. `peer`: a full JID, a bare one for all its resources, or "" for everybody.
        """

        def work(connection: sa.Connection) -> tuple[tuple[Kept, ...], bool]:
            found: list[Kept] = []
            low, high, size = above, below, 0
            while len(found) < most and size < PAGE_BYTES:
                n = min(AT_ONCE, most - len(found))
                statement = _range(sa.select(_OF.id, _OF.peer, _OF.resource, _OF.stanza), account, low, high, peer)
                order = _OF.id.desc() if backwards else _OF.id
                rows = connection.execute(statement.order_by(order).limit(n)).all()
                for row in rows:
                    found.append(_kept(row))
                    size += len(found[-1].stanza)
                if len(rows) < n:
                    return tuple(found), True
                low, high = (low, found[-1].id) if backwards else (found[-1].id, high)
            return tuple(found), False

        return self._database.run(work)

    def find(self, account: str, ids: Sequence[int]) -> tuple[Kept, ...]:
        """Those entries that have one of these ids, in no order."""

        def work(connection: sa.Connection) -> tuple[Kept, ...]:
            statement = sa.select(_OF.id, _OF.peer, _OF.resource, _OF.stanza)
            rows = connection.execute(statement.where(_OF.account == account, _OF.id.in_(ids)))
            return tuple(_kept(row) for row in rows)

        return self._database.run(work) if ids else ()

    def has(self, account: str, number: int) -> bool:
        """There is an entry of that id."""

        def work(connection: sa.Connection) -> bool:
            statement = sa.select(_OF.id).where(_OF.account == account, _OF.id == number)
            return connection.scalar(statement) is not None

        return self._database.run(work)

    def count(self, account: str, *, above: int, below: int, peer: str = "") -> int:
        """How many entries there are with `above` < id < `below`."""

        def work(connection: sa.Connection) -> int:
            statement = _range(sa.select(sa.func.count()).select_from(MESSAGES), account, above, below, peer)
            return int(connection.scalar(statement) or 0)

        return self._database.run(work)

    def edge(self, account: str, *, above: int, below: int, backwards: bool, skip: int = 0) -> int | None:
        """The first id of the range, or of its entries from behind, after `skip` others; None if there is none."""

        def work(connection: sa.Connection) -> int | None:
            statement = _range(sa.select(_OF.id), account, above, below, "")
            order = _OF.id.desc() if backwards else _OF.id
            number: int | None = connection.scalar(statement.order_by(order).offset(skip).limit(1))
            return number

        return self._database.run(work)

    def erase(self, account: str, upto: int) -> None:
        """Delete everything up to that id, the oldest first, in pieces that hold up nobody for long."""

        def work(connection: sa.Connection) -> int:
            oldest = _range(sa.select(_OF.id), account, -1, upto + 1, "").order_by(_OF.id).limit(ERASED_AT_ONCE)
            last = connection.scalar(sa.select(sa.func.max(oldest.subquery().c.id)))
            if last is None:
                return 0
            return connection.execute(sa.delete(MESSAGES).where(_OF.account == account, _OF.id <= last)).rowcount

        while self._database.run(work) >= ERASED_AT_ONCE:
            pass

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _range(statement: sa.Select[Any], account: str, above: int, below: int, peer: str) -> sa.Select[Any]:
    statement = statement.where(_OF.account == account, _OF.id > above, _OF.id < below)
    bare, slash, resource = peer.partition("/")
    if bare:
        statement = statement.where(_OF.peer == bare)
    return statement.where(_OF.resource == resource) if slash else statement


def _kept(row: Any) -> Kept:
    peer = f"{row.peer}/{row.resource}" if row.resource else row.peer
    return Kept(row.id, peer, bytes(row.stanza))
