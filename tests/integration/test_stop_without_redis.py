"""A gateway ends soon when Redis has gone before it, as when their supervisor is killed or signals both at once."""

import time
from pathlib import Path

import psutil

from tests.support.phone import online
from tests.support.pieces import pieces
from tests.support.processes import Server

SOON_S = 9.0
"""STORE_AWAY_S, and what two busy cores may add; with Redis' own timeout alone it would be more than 10 s"""


def test_a_stop_after_redis_has_gone_does_not_wait_for_it(tmp_path: Path) -> None:
    with pieces(tmp_path) as house:
        phone, friend = (online(house, house.account()) for _ in range(2))
        gateway = house.gateway
        house.kill_redis()
        phone.message(friend.account.jid, "nobody can take this")
        started = time.monotonic()
        gateway.terminate()
        status = gateway.wait(30)

        assert (0, True) == (status, time.monotonic() - started < SOON_S)


def test_all_processes_end_soon_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    server = Server(tmp_path).start()
    phones = [online(server, server.account()) for _ in range(2)]
    family = server.family()
    phones[0].message(phones[1].account.jid, "nobody may be there to take this")
    family[0].kill()
    _gone, alive = psutil.wait_procs(family, timeout=SOON_S)
    left = [process.cmdline() for process in alive]
    for process in alive:
        process.kill()

    assert [] == left
