"""Stores of every kind that this machine has, and an archive that lies in Redis and in a store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.archive.database import Database
from gateway.archive.store import ArchiveStore
from tests.archive.world import ArchiveWorld
from tests.mailbox.world import a_world
from tests.support import postgres

KINDS = ["sqlite", *(["postgresql"] if postgres.bin_dir() else [])]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One server for the whole run."""
    with postgres.a_place() as place, postgres.running_postgres(place / "data") as url:
        yield url


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'archive.sqlite3'}"
    url = sa.make_url(request.getfixturevalue("postgres_url"))
    name = "t" + secrets.token_hex(6)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def store(address: str) -> Iterator[ArchiveStore]:
    """A store of each kind."""
    store = ArchiveStore(Database(address))
    yield store
    store.close()


@pytest.fixture
def world(redis_url: str, store: ArchiveStore) -> Iterator[ArchiveWorld]:
    """juliet's archive, in Redis and each kind of database."""
    with a_world(redis_url) as mailboxes:
        mailboxes.account()
        yield ArchiveWorld(mailboxes, store)
