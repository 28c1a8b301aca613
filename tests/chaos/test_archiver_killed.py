"""kill -9 of the archiver, again and again, while an archive grows, is moved and is read."""

import random
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from gateway.archive.database import Database
from gateway.archive.settings import FILE
from gateway.archive.store import ArchiveStore
from gateway.mailbox.archive_ids import LATEST
from tests.support.archive import ask, rsm
from tests.support.phone import Phone, close_phones, online
from tests.support.processes import Server, running

MESSAGES = 1500


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    settings = {
        "archive": {"recent_messages": 5, "interval": 0.05},
        "offline": {"access_max_user_messages": 2 * MESSAGES},
    }
    with running(tmp_path, settings=settings) as server:
        yield server
        close_phones()


def read_all(phone: Phone, most: int, *, backwards: bool) -> list[str]:
    found: list[str] = []
    page = ask(phone, rsm(f"<max>{most}</max>" + "<before/>" * backwards))
    while True:
        phone.ack()
        found = page.bodies + found if backwards else found + page.bodies
        if page.is_complete:
            return found
        edge = f"<before>{page.rsm('first')}</before>" if backwards else f"<after>{page.rsm('last')}</after>"
        page = ask(phone, rsm(f"<max>{most}</max>{edge}"))


@pytest.mark.slow
def test_every_page_is_whole_though_the_archiver_is_killed_again_and_again(server: Server) -> None:
    rng = random.Random(7)
    sender, reader = online(server, server.account()), Phone(server, server.account()).bind()
    reader.enable()
    said = 0

    def kill() -> None:
        for _ in range(5):
            gevent.sleep(rng.uniform(0.2, 1.0))
            server.kill("archiver")

    def say() -> None:
        nonlocal said
        for number in range(MESSAGES):
            sender.message(reader.account.jid, f"m{number}")
            if number % 50 == 49:
                sender.handled()
                said = number + 1
                gevent.sleep(0.05)

    work = [gevent.spawn(kill), gevent.spawn(say)]
    rounds = 0
    while rounds < 6 or not all(one.dead for one in work):
        before = said
        found = read_all(reader, rng.choice([20, 97, 250]), backwards=rounds % 2 == 1)
        rounds += 1

        assert [f"m{number}" for number in range(len(found))] == found
        assert len(found) >= before
    gevent.joinall(work, raise_error=True)

    store = ArchiveStore(Database(f"sqlite:///{server.directory / 'data' / FILE}"))
    everybody = (sender.account.jid, reader.account.jid)
    server.wait(
        lambda: all(store.count(user, above=0, below=LATEST) == MESSAGES - 5 for user in everybody), "the rest", 90
    )
    store.close()
    assert [f"m{number}" for number in range(MESSAGES)] == read_all(reader, 250, backwards=False)
