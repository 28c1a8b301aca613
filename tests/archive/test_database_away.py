"""A whole server with PostgreSQL, which goes away and comes back."""

from __future__ import annotations

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


def test_while_the_database_is_away_messages_are_delivered_and_recent_ones_found(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place: Path = tmp_path_factory.mktemp("away")
    with postgres.running_postgres(place / "postgres") as url:
        port = sa.make_url(url).port or 0
        archive = {"url": url, "recent_messages": 10, "interval": 0.1, "timeout_s": 2}
        server_context = running(place / "wakegate", settings={"archive": archive})
        server = server_context.__enter__()
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
    try:
        say(40, 45)
        away, recent = ask(juliet), ask(juliet, rsm(f"<after>{whole.ids[35]}</after>"))
        newest = ask(juliet, rsm("<max>5</max><before/>"))
        with postgres.running_postgres(place / "postgres", port):
            moved(35)
            back = ask(juliet)

        assert [f"m{number}" for number in range(40)] == whole.bodies
        assert ("internal-server-error", "wait") == (away.condition, kind_of_error(away))
        assert [f"m{number}" for number in range(36, 45)] == recent.bodies
        assert [f"m{number}" for number in range(40, 45)] == newest.bodies
        assert [f"m{number}" for number in range(45)] == back.bodies
    finally:
        close_phones()
        server_context.__exit__(None, None, None)
