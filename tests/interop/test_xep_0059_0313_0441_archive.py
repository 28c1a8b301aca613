"""slixmpp as it is reads an archive of which one part is in Redis and the other in SQL.

aioxmpp has no part that speaks XEP-0313.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.archive.database import Database
from gateway.archive.settings import FILE
from gateway.archive.store import ArchiveStore
from gateway.mailbox.archive_ids import LATEST
from tests.support.phone import Phone, close_phones, online
from tests.support.processes import PASSWORD, Account, Server, running

ROOT = Path(__file__).parents[2]
COUNT = 40


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that keeps ten messages of an account in Redis."""
    settings = {"archive": {"recent_messages": 10, "interval": 0.1}}
    with running(tmp_path_factory.mktemp("archive"), settings=settings) as server:
        server.stock_accounts(12)
        yield server


@pytest.fixture(scope="module")
def reader(home: Server) -> Iterator[Account]:
    """Somebody who got forty messages from one, and three from another; most of them are in SQL."""
    account, friend, other = home.account(), online(home, home.account()), online(home, home.account())
    say(friend, account.jid, [f"m{number}" for number in range(COUNT)])
    say(other, account.jid, ["x0", "x1", "x2"])
    store = ArchiveStore(Database(f"sqlite:///{home.directory / 'data' / FILE}"))
    home.wait(lambda: store.count(account.jid, above=0, below=LATEST) == COUNT + 3 - 10, "the archiver", 30)
    store.close()
    yield account
    close_phones()


def say(sender: Phone, to: str, bodies: list[str]) -> None:
    for body in bodies:
        sender.message(to, body)
    sender.handled()


def slixmpp(server: Server, does: str, account: Account, *arguments: str) -> Any:
    """Runs one deed in a process without gevent; answers what it found."""
    address = server.address()
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.slixmpp_archive", does, account.jid, PASSWORD, str(address.port),
         address.cafile, *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


EVERYTHING = [*(f"m{number}" for number in range(COUNT)), "x0", "x1", "x2"]


@pytest.mark.parametrize("page", ["1", "7", "43", "250"])
def test_it_pages_through_everything_in_order(home: Server, reader: Account, page: str) -> None:
    assert EVERYTHING == slixmpp(home, "history", reader, page)


def test_it_pages_backwards(home: Server, reader: Account) -> None:
    assert EVERYTHING[::-1] == slixmpp(home, "backwards", reader, "7")


def test_it_filters_by_party_and_time(home: Server, reader: Account) -> None:
    stamps = slixmpp(home, "stamps", reader)

    assert ["x0", "x1", "x2"] == slixmpp(home, "history", reader, "2", "user3@localhost")
    assert EVERYTHING[stamps.index(stamps[20]) :] == slixmpp(home, "since", reader, stamps[20])


def test_it_finds_the_features_the_fields_and_the_ends(home: Server, reader: Account) -> None:
    first, last, when = slixmpp(home, "metadata", reader)
    fields = slixmpp(home, "fields", reader)

    assert {"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended"} <= set(slixmpp(home, "features", reader))
    assert {"with", "start", "end", "before-id", "after-id", "ids"} <= set(fields)
    assert first < last
    assert slixmpp(home, "stamps", reader)[-1][:19] == when[:19]


def test_it_sets_preferences(home: Server) -> None:
    account = home.account()

    assert ["roster", [], ["a@localhost"]] == slixmpp(home, "prefer", account, "roster", "a@localhost")


def test_it_does_not_read_anothers_archive(home: Server, reader: Account) -> None:
    assert "service-unavailable" == slixmpp(home, "of", home.account(), reader.jid)
