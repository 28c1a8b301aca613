"""A whole server with PostgreSQL, which goes away and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.archive.database import Database
from gateway.archive.store import ArchiveStore
from gateway.mailbox.archive_ids import LATEST
from tests.support import postgres
from tests.support.archive import Answer, ask, rsm
from tests.support.phone import close_phones, online, stanza
from tests.support.processes import running

pytestmark = pytest.mark.skipif(postgres.bin_dir() is None, reason="this machine has no PostgreSQL")


def kind_of_error(answer: Answer) -> str | None:
    error = answer.iq.find(stanza("error"))
    return None if error is None else error.get("type")


@pytest.fixture
def place() -> Iterator[Path]:
    """Where PostgreSQL keeps its files, also while it does not run."""
    with postgres.a_place() as place:
        yield place / "server"
        close_phones()


def test_while_the_database_is_away_messages_are_delivered_and_recent_ones_found(place: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(ExitStack())
        url = database.enter_context(postgres.running_postgres(place))
        archive = {"url": url, "recent_messages": 10, "interval": 0.1, "timeout_s": 2}
        server = stack.enter_context(running(tmp_path, settings={"archive": archive}))
        romeo, juliet = online(server, server.account()), online(server, server.account())

        def say(first: int, last: int) -> None:
            for number in range(first, last):
                romeo.message(juliet.account.jid, f"m{number}")
            romeo.handled()
            juliet.bodies(last - first)
            juliet.ack()

        def moved(count: int) -> None:
            store = ArchiveStore(Database(url))
            server.wait(lambda: store.count(juliet.account.jid, above=0, below=LATEST) == count, "the archiver", 60)
            store.close()

        say(0, 40)
        moved(30)
        whole = ask(juliet)
        database.close()
        say(40, 45)
        away, recent = ask(juliet), ask(juliet, rsm(f"<after>{whole.ids[35]}</after>"))
        newest = ask(juliet, rsm("<max>5</max><before/>"))
        stack.enter_context(postgres.running_postgres(place, sa.make_url(url).port or 0))
        moved(35)
        back = ask(juliet)

    assert [f"m{number}" for number in range(40)] == whole.bodies
    assert ("internal-server-error", "wait") == (away.condition, kind_of_error(away))
    assert [f"m{number}" for number in range(36, 45)] == recent.bodies
    assert [f"m{number}" for number in range(40, 45)] == newest.bodies
    assert [f"m{number}" for number in range(45)] == back.bodies
