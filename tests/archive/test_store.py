"""The contract of the SQL part, held by every database that is there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import gevent
import pytest
import sqlalchemy as sa

from gateway.archive import schema
from gateway.archive.database import Database
from gateway.archive.errors import ArchiveError, ArchiveForeign, ArchiveRefused, ArchiveUnavailable
from gateway.archive.store import ArchiveStore
from gateway.mailbox.archive_ids import LATEST
from gateway.mailbox.archives import Kept
from tests.archive.world import numbered

A, B = "juliet@localhost", "romeo@localhost"


def ids(found: tuple[tuple[Kept, ...], bool]) -> list[int]:
    return [entry.id for entry in found[0]]


def test_what_is_inserted_twice_is_there_once_as_it_was_first(store: ArchiveStore) -> None:
    entries = numbered(3)
    store.insert(A, entries)
    store.insert(A, [Kept(entries[1].id, "other@localhost", b"<message/>"), *numbered(4)])

    found, is_all = store.page(A, above=0, below=LATEST, backwards=False, most=10)

    assert (tuple(numbered(4)), True) == (found, is_all)


def test_pages_go_both_ways_within_bounds_that_are_excluded(store: ArchiveStore) -> None:
    entries = numbered(10)
    store.insert(A, entries)
    bounds = {"above": entries[1].id, "below": entries[8].id}

    assert [e.id for e in entries[2:5]] == ids(store.page(A, **bounds, backwards=False, most=3))
    assert [e.id for e in entries[7:4:-1]] == ids(store.page(A, **bounds, backwards=True, most=3))
    assert [e.id for e in entries[2:8]] == ids(store.page(A, **bounds, backwards=False, most=100))


def test_the_end_of_a_range_is_told_exactly(store: ArchiveStore) -> None:
    store.insert(A, numbered(120))

    assert not store.page(A, above=0, below=LATEST, backwards=False, most=119)[1]
    assert store.page(A, above=0, below=LATEST, backwards=False, most=121)[1]
    assert 120 == len(store.page(A, above=0, below=LATEST, backwards=False, most=121)[0])


def test_a_bare_address_finds_all_resources_and_a_full_one_just_that(store: ArchiveStore) -> None:
    entries = numbered(4)
    peers = ["a@localhost/x", "a@localhost/y", "a@localhost", "ab@localhost/x"]
    store.insert(A, [Kept(e.id, peer, e.stanza) for e, peer in zip(entries, peers, strict=True)])

    def of(peer: str) -> list[int]:
        return ids(store.page(A, above=0, below=LATEST, backwards=False, most=10, peer=peer))

    assert [e.id for e in entries[:3]] == of("a@localhost")
    assert [entries[0].id] == of("a@localhost/x")
    assert 3 == store.count(A, above=0, below=LATEST, peer="a@localhost")
    assert peers[0] == store.find(A, [entries[0].id])[0].peer


def test_accounts_do_not_see_each_other(store: ArchiveStore) -> None:
    store.insert(A, numbered(3))
    store.insert(B, numbered(5))
    store.erase(A, LATEST - 1)

    assert [] == ids(store.page(A, above=0, below=LATEST, backwards=False, most=10))
    assert 5 == store.count(B, above=0, below=LATEST)
    assert () == store.find(A, [numbered(1)[0].id])


def test_edges_skip_what_they_are_told_to(store: ArchiveStore) -> None:
    entries = numbered(5)
    store.insert(A, entries)

    assert entries[0].id == store.edge(A, above=0, below=LATEST, backwards=False)
    assert entries[4].id == store.edge(A, above=0, below=LATEST, backwards=True)
    assert entries[2].id == store.edge(A, above=0, below=LATEST, backwards=True, skip=2)
    assert None is store.edge(A, above=0, below=LATEST, backwards=True, skip=5)


def test_erasing_takes_everything_up_to_an_id_however_much_it_is(store: ArchiveStore) -> None:
    entries = numbered(5000)
    store.insert(A, entries)
    store.erase(A, entries[4498].id)

    assert 501 == store.count(A, above=0, below=LATEST)
    assert not store.has(A, entries[4498].id)
    assert store.has(A, entries[4499].id)


def test_bytes_come_back_as_they_were(store: ArchiveStore) -> None:
    stanza = "<message><body>\u0000é💬 %s :x ' \" \\</body></message>".encode()
    store.insert(A, [Kept(1, "ünï@localhost/💬 %(x)s", stanza)])

    assert (Kept(1, "ünï@localhost/💬 %(x)s", stanza),) == store.find(A, [1])


def test_a_page_stops_at_about_a_megabyte(store: ArchiveStore) -> None:
    store.insert(A, [Kept(number, B, b"x" * 200_000) for number in range(1, 151)])
    found, is_all = store.page(A, above=0, below=LATEST, backwards=False, most=150)

    assert 5 <= len(found) < 150
    assert not is_all


def test_several_processes_may_make_the_tables_at_once(address: str) -> None:
    stores = [ArchiveStore(Database(address)) for _ in range(4)]
    started = [gevent.spawn(store.insert, A, numbered(2)) for store in stores]
    gevent.joinall(started, timeout=30, raise_error=True)

    assert 2 == stores[0].count(A, above=0, below=LATEST)
    for store in stores:
        store.close()


def test_tables_of_a_newer_version_are_not_touched(address: str, store: ArchiveStore) -> None:
    store.insert(A, numbered(1))
    database = Database(address)
    database.run(lambda connection: connection.execute(sa.text("UPDATE wakegate_schema SET version = 99")))
    database.close()

    with pytest.raises(ArchiveForeign):
        ArchiveStore(Database(address)).count(A, above=0, below=LATEST)


def test_other_greenlets_go_on_while_the_database_works(address: str) -> None:
    database = Database(address)
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0.005)

    slow = (
        "SELECT pg_sleep(0.5)"
        if address.startswith("postgresql")
        else "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3000000) SELECT max(x) FROM n"
    )
    database.run(lambda connection: connection.execute(sa.text("SELECT 1")))
    counting = gevent.spawn(count)
    for _ in range(5):  # on a busy machine a query may get all of the process' time
        if turns <= 10:
            database.run(lambda connection: connection.execute(sa.text(slow)).all())
    counting.kill()
    database.close()

    assert turns > 10


def test_a_database_that_does_not_answer_is_said_to_be_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = ArchiveStore(Database("postgresql+psycopg://nobody@127.0.0.1:1/none", timeout_s=2))

    with pytest.raises(ArchiveUnavailable):
        store.count(A, above=0, below=LATEST)

    folder = tmp_path_factory.mktemp("not-a-file")
    with pytest.raises(ArchiveUnavailable):
        ArchiveStore(Database(f"sqlite:///{folder}")).count(A, above=0, below=LATEST)


def test_an_error_does_not_tell_what_people_wrote(address: str) -> None:
    database = Database(address)

    with pytest.raises(ArchiveError) as caught:
        database.run(
            lambda connection: connection.execute(sa.text("INSERT INTO nowhere VALUES (:body)"), {"body": "secret!"})
        )

    assert "secret!" not in str(caught.value)
    database.close()


def test_what_the_database_cannot_keep_is_not_taken_for_an_outage(address: str) -> None:
    database = Database(address)
    store = ArchiveStore(database)
    twice = "INSERT INTO wakegate_archive VALUES ('a', 1, 'b', '', 'c')"
    store.insert(A, numbered(1))
    database.run(lambda connection: connection.execute(sa.text(twice)))

    with pytest.raises(ArchiveRefused):
        database.run(lambda connection: connection.execute(sa.text(twice)))

    database.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = ArchiveStore(Database(f"sqlite:///{tmp_path / 'below' / 'archive.sqlite3'}"))
    store.insert(A, numbered(1))
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in (tmp_path / "below").iterdir()}
    store.close()

    assert {"0o600"} == set(modes.values()), modes


def test_tables_of_an_older_version_are_brought_up_to_date_once(
    address: str, store: ArchiveStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.insert(A, numbered(2))
    monkeypatch.setattr(schema, "NEWEST", 3)
    steps = {
        2: ("ALTER TABLE wakegate_archive ADD COLUMN mood TEXT",),
        3: ("UPDATE wakegate_archive SET mood = 'lonely'",),
    }
    monkeypatch.setattr(schema, "STEPS", steps)
    databases = [Database(address) for _ in range(3)]
    question = (
        "SELECT (SELECT count(*) FROM wakegate_archive WHERE mood = 'lonely'), (SELECT version FROM wakegate_schema)"
    )
    asked = [
        gevent.spawn(database.run, lambda connection: tuple(connection.execute(sa.text(question)).one()))
        for database in databases
    ]
    gevent.joinall(asked, timeout=30, raise_error=True)
    for database in databases:
        database.close()

    assert [(2, 3)] * 3 == [one.value for one in asked]


@pytest.mark.parametrize("held", ["SELECT * FROM other", "INSERT INTO other VALUES (1)"])
def test_a_new_file_that_somebody_else_has_open_is_waited_for(tmp_path: Path, held: str) -> None:
    """SQLite itself does not wait when the file is made one with a write-ahead log."""
    file = tmp_path / "archive.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE other (n)")
        other.execute("BEGIN")
        other.execute(held).fetchall()
        store = ArchiveStore(Database(f"sqlite:///{file}"))
        inserting = gevent.spawn(store.insert, A, numbered(2))
        gevent.sleep(0.3)
        is_waiting = not inserting.ready()
        other.execute("COMMIT")
        inserting.get(timeout=10)

    assert is_waiting
    assert 2 == store.count(A, above=0, below=LATEST)
    store.close()
