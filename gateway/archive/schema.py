"""The tables, and their versions. A database is brought to the newest version by whoever uses it first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa

from gateway.archive.errors import ArchiveForeign

METADATA: Final = sa.MetaData()

VERSIONS: Final = sa.Table(
    "wakegate_schema",
    METADATA,
    sa.Column("part", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)

MESSAGES: Final = sa.Table(
    "wakegate_archive",
    METADATA,
    sa.Column("account", sa.Text, primary_key=True),
    # ms << 20 | seq: the order of an archive, and its time
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    # the other party: its bare JID, and its resource or ""
    sa.Column("peer", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("stanza", sa.LargeBinary, nullable=False),
    sa.Index("wakegate_archive_peer", "account", "peer", "id"),
)

PART: Final = "archive"

STEPS: Final[Mapping[int, tuple[str, ...]]] = {}
"""version -> statements that lead to it from the one before. Version 1 is what METADATA made at first."""

NEWEST: Final = 1

_LOCK: Final = 0x77616B65
"""of PostgreSQL's advisory locks: only one process makes or changes tables"""


def prepare(connection: sa.Connection) -> None:
    """Make the tables, or bring them up to date, within one transaction. Raises ArchiveForeign."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's own begins too late for this
    METADATA.create_all(connection)
    version = connection.scalar(sa.select(VERSIONS.c.version).where(VERSIONS.c.part == PART))
    if version is None:
        connection.execute(sa.insert(VERSIONS).values(part=PART, version=NEWEST))
        return
    if version > NEWEST:
        raise ArchiveForeign(f"the database is of version {version}, this Wakegate knows up to {NEWEST}")
    for step in range(version + 1, NEWEST + 1):
        for statement in STEPS[step]:
            connection.execute(sa.text(statement))
    if version < NEWEST:
        connection.execute(sa.update(VERSIONS).where(VERSIONS.c.part == PART).values(version=NEWEST))
