"""A master that is being replaced, as sentinels tell it, is nobody to begin a connection with."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gevent
import hiredis
import pytest
import redis
from gevent.server import StreamServer

from gateway.mailbox import sentinel
from gateway.mailbox.dial import Address, packed
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.sentinel import SentinelSource
from tests.sentinel.one_server import one_server
from tests.support.pieces import eventually

WAIT_S = 10.0


class Teller:
    """Says what a sentinel says of its master: real ones replace theirs within a moment."""

    def __init__(self, master: int) -> None:
        self.flags = "master"
        self.epoch = 3
        self.asked = 0
        self.master = master
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()

    @property
    def address(self) -> Address:
        return Address(host="127.0.0.1", port=int(self._server.server_port))

    def stop(self) -> None:
        self._server.stop(timeout=1)

    def _serve(self, connection: Any, _address: Any) -> None:
        reader = hiredis.Reader()
        while data := connection.recv(4096):
            reader.feed(data)
            while reader.gets() is not False:
                self.asked += 1
                said = {"ip": "127.0.0.1", "port": self.master, "config-epoch": self.epoch, "flags": self.flags}
                connection.sendall(packed(tuple(part for each in said.items() for part in each)))


@pytest.fixture
def tellers(tmp_path: Path) -> Iterator[list[Teller]]:
    with one_server(tmp_path) as port, ExitStack() as stack:
        made = [Teller(port) for _ in range(3)]
        for teller in made:
            stack.callback(teller.stop)
        yield made


@contextmanager
def a_connection(source: SentinelSource) -> Iterator[None]:
    with source.dial(WAIT_S):
        yield


def test_who_is_being_replaced_is_waited_for_until_all_sentinels_are_at_peace(tellers: list[Teller]) -> None:
    source = SentinelSource([each.address for each in tellers], "wakegate", Address())
    tellers[1].flags = "master,o_down,failover_in_progress"
    with pytest.raises(StoreUnavailable, match="is being replaced"), a_connection(source):
        pass
    tellers[1].flags = "master,s_down,o_down"  # it could not be, or need not be
    with a_connection(source):
        pass


@pytest.mark.parametrize("ends", [False, True], ids=["goes on", "is over"])
def test_sentinels_are_asked_again_when_the_master_hung_while_we_connected(tellers: list[Teller], ends: bool) -> None:
    source = SentinelSource([each.address for each in tellers], "wakegate", Address())
    master = tellers[0].master
    with redis.Redis(port=master) as client:
        pid = client.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    connecting = gevent.spawn(source.dial, WAIT_S)
    eventually(lambda: all(each.asked for each in tellers), "all to be asked")
    gevent.sleep(2 * sentinel.NEWS_S)
    if ends:
        tellers[2].epoch, tellers[2].master = 4, 1
    else:
        tellers[2].flags = "master,o_down,failover_in_progress"
    os.kill(pid, signal.SIGCONT)

    with pytest.raises(
        StoreUnavailable, match=f"{master} has been replaced" if ends else f"{master} is being replaced"
    ):
        connecting.get(timeout=WAIT_S)


def test_a_failover_that_does_not_end_keeps_nobody_out(tellers: list[Teller], monkeypatch: pytest.MonkeyPatch) -> None:
    source = SentinelSource([each.address for each in tellers], "wakegate", Address())
    tellers[0].flags = tellers[2].flags = "master,failover_in_progress"
    with pytest.raises(StoreUnavailable, match="is being replaced"), a_connection(source):
        pass
    monkeypatch.setattr(sentinel, "FAILOVER_S", 0.0)
    with a_connection(source):
        pass
