"""A gateway inside this process, on a Redis of its own that tests may fill, freeze and kill."""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis

from gateway.app import Gateway
from gateway.configuration import read
from gateway.demo.stream import Address
from gateway.mailbox import keys
from gateway.mailbox.embedded import EmbeddedServer
from gateway.xmpp.sasl.credentials import derive
from tests.support.phone import Phone, close_phones
from tests.support.processes import PASSWORD, Account

TIMEOUT_S = 1.0
"""after so long without an answer the journal connects anew; clients stay"""


class House:
    """`gateway` on `redis`, with accounts that `account` makes as they are needed."""

    def __init__(self, directory: Path, *, patience_s: float = 60.0, **sections: dict[str, Any]) -> None:
        self.server = EmbeddedServer(directory, appendfsync="no")
        self.server.start()
        self.redis = redis.Redis.from_url(self.server.url)
        listen = {"c2s": ["127.0.0.1:0"], "c2s_tls": [], "websocket": [], "web": []}
        own = {"url": self.server.url, "patience": patience_s, "timeout_s": TIMEOUT_S}
        self.gateway = Gateway.build(
            read(overrides={"server": {"data_dir": str(directory)}, "redis": own, "listen": listen, **sections})
        )
        self.gateway.start()
        self._fields = derive(PASSWORD, salt=b"salt" * 4, iterations=4096).to_fields()
        self._numbers = itertools.count(1)

    def account(self) -> Account:
        """A new one."""
        account = Account(f"user{next(self._numbers)}")
        self.gateway.node.accounts.create(account.jid, self._fields)
        return account

    def address(self) -> Address:
        address = next(address for listener in self.gateway.listeners for address in listener.addresses)
        host, _, port = address.rpartition(":")
        return Address(host, int(port))

    def phone(self, account: Account | None = None, *, resource: str = "phone") -> Phone:
        """Bound, with stream management, and available; by default of a new account."""
        phone = Phone(self, account or self.account()).bind(resource)
        phone.enable()
        return phone.available()

    @contextmanager
    def full(self) -> Iterator[None]:
        """Redis has no memory left."""
        self.redis.config_set("maxmemory", 1)
        try:
            yield
        finally:
            self.redis.config_set("maxmemory", 0)

    def sleeps(self, phone: Phone) -> bool:
        """Redis has the session as one without a connection."""
        at = keys.prefix(phone.account.jid)
        return bool(self.redis.hget(keys.key(at, "session", phone.session_id), "state") == b"asleep")

    def freeze(self) -> None:
        """Redis answers nothing; its sockets stay open."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    @property
    def _pid(self) -> int:
        pid = self.server.pid
        assert pid is not None
        return pid

    def close(self) -> None:
        self.redis.close()
        self.gateway.stop()
        self.server.stop()


def eventually(condition: Any, timeout_s: float = 15.0) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(0.01)
    return True


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    built = House(tmp_path_factory.mktemp("store"))
    yield built
    built.close()


@pytest.fixture(autouse=True)
def _no_link_stays_open() -> Iterator[None]:
    yield
    close_phones()
