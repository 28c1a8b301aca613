"""Several gateways on one port, under the supervisor of `wakegate up`, in the hands of a test."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis

from gateway.cli.store import connect
from gateway.cli.up import NODE_VARIABLE, Plan
from gateway.configuration import read
from gateway.demo.stream import Address
from gateway.mailbox import keys
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.embedded import socket_path
from gateway.process import dies_with_parent
from gateway.supervisor.child import Child
from gateway.supervisor.printer import Printer
from gateway.supervisor.supervise import Supervisor
from gateway.xmpp.sasl.credentials import derive
from tests.scenarios.sleepers import enable
from tests.support.phone import Phone
from tests.support.pieces import eventually
from tests.support.processes import PASSWORD, Account, free_ports

PROJECT = Path(__file__).parents[2]

ITERATIONS = 4096
"""the fewest that SCRAM allows: tests log in often"""


class House:
    """Redis, `gateways` gateways and the named workers; accounts without end."""

    def __init__(
        self, directory: Path, *, gateways: int, workers: tuple[str, ...], more: str, supervised: bool
    ) -> None:
        (self.port,) = free_ports(1)
        self.data = directory / "data"
        self.config = directory / "wakegate.toml"
        self._key = directory / "service-account.json"
        self._key.touch(0o600)
        self._key.write_text("{}")
        self.write(more)
        self.output = io.BytesIO()
        self.supervisor = Supervisor(Printer(self.output))
        self.settings = read([self.config])
        self._plan = Plan(self.settings, (self.config,))
        self._gateways = gateways
        self._workers = workers
        self._supervised = supervised
        self._names = iter(range(1, 100_000))

    def write(self, more: str) -> None:
        """The configuration, with `more` behind what every house has."""
        self.config.write_text(
            f'[server]\ndata_dir = "{self.data}"\n[listen]\nc2s = ["127.0.0.1:{self.port}"]\n'
            f"c2s_tls = []\nwebsocket = []\nweb = []\n"
            f'[push.apps.chat]\nprovider = "fcm"\nservice_account_file = "{self._key}"\n{more}'
        )

    def start(self) -> None:
        self.supervisor.start_group(self._plan.foundation(False))
        wanted = {f"gateway.{number}" for number in range(1, self._gateways + 1)} | {*self._workers}
        specs = [spec for spec in self._plan.services(self._gateways) if spec.name in wanted]
        specs = [replace(spec, rolls=spec.overlaps) for spec in specs]  # gateways are what tests restart
        if not self._supervised:
            specs = [replace(spec, on_death=None) for spec in specs]
        self.supervisor.start_group(specs)

    # Who is there

    @property
    def gateways(self) -> list[Child]:
        return [child for child in self.supervisor.children if child.spec.name.startswith("gateway.")]

    def node(self, child: Child) -> str:
        return child.added[NODE_VARIABLE]

    def gateway_of(self, phone: Phone) -> Child:
        """Where a phone's session is."""
        node = self.session(phone)["node"]
        return next(child for child in self.gateways if self.node(child) == node)

    def log(self) -> str:
        return self.output.getvalue().decode("utf-8", "replace")

    def signal(self, child: Child, number: signal.Signals) -> None:
        child.send_signal(number)

    @contextmanager
    def another_build(self, directory: Path) -> Iterator[str]:
        """One more gateway on the port, whose Lua library differs; answers its node's name."""
        for package in ("gateway", "workers"):
            shutil.copytree(PROJECT / package, directory / package)
        with (directory / "gateway" / "mailbox" / "lua" / "90_node.lua").open("a") as file:
            file.write("\n-- another build\n")
        name = "another-build"
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "gateway", "--config", str(self.config)],
            env={**os.environ, NODE_VARIABLE: name},
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=dies_with_parent(),
        )
        try:
            eventually(lambda: self.store.hexists(keys.NODES, name), "the other build to beat", 60)
            yield name
        finally:
            process.terminate()
            process.wait(30)

    # Clients

    def accounts(self, count: int) -> list[Account]:
        found = [Account(f"user{next(self._names)}") for _ in range(count)]
        fields = derive(PASSWORD, salt=secrets.token_bytes(16), iterations=ITERATIONS).to_fields()
        with connect(self.settings) as journal:
            for account in found:
                Accounts(journal).create(account.jid, fields)
        return found

    def account(self) -> Account:
        return self.accounts(1)[0]

    def address(self) -> Address:
        return Address("127.0.0.1", self.port, "localhost", "starttls", "")

    def phone(self, account: Account, *, register: bool = False) -> Phone:
        """A phone that is available and able to resume; `register`: it can be pushed."""
        phone = Phone(self, account).bind()
        phone.enable()
        if register:
            assert enable(phone) == ""
        phone.available()
        phone.ack()
        return phone

    def phones(self, count: int, *, register: bool = False) -> list[Phone]:
        """Phones of as many accounts."""
        return [self.phone(account, register=register) for account in self.accounts(count)]

    def one_at_each(self) -> list[Phone]:
        """Phones, one at each gateway in their order; the kernel decides, so as many are made as it takes."""
        found: dict[int, Phone] = {}
        while len(found) < self._gateways:
            phone = self.phones(1)[0]
            at = self.gateways.index(self.gateway_of(phone))
            if at in found:
                phone.cut()
            else:
                found[at] = phone
        return [found[at] for at in sorted(found)]

    def back(self, phone: Phone) -> Phone:
        """The same phone on a new link, its session resumed."""
        again = Phone(self, phone.account)
        again.jid = phone.jid
        answer = again.resume(phone.session_id, phone.inbound)
        assert answer.tag.endswith("resumed"), answer.tag
        return again

    # The store

    @property
    def store(self) -> Any:
        return redis.Redis(unix_socket_path=str(socket_path(self.data)))

    def session(self, phone: Phone) -> dict[str, str]:
        found = self.store.hgetall(keys.key(keys.prefix(phone.account.jid), "session", phone.session_id))
        return {name.decode(): value.decode("utf-8", "replace") for name, value in found.items()}

    def sleeps(self, phone: Phone) -> bool:
        return self.session(phone).get("state") == "asleep"

    def events(self, phone: Phone) -> int:
        """How many push events there are, or will be, for a phone's account."""
        at, user = keys.prefix(phone.account.jid), phone.account.jid.encode()
        raised = [fields for _, fields in self.store.xrange(keys.key(at, "events")) if fields[b"user"] == user]
        return len(raised)

    def wait_asleep(self, phone: Phone) -> None:
        eventually(lambda: self.sleeps(phone), "the session to sleep")


@contextmanager
def a_house(
    directory: Path, *, gateways: int = 2, workers: tuple[str, ...] = (), more: str = "", supervised: bool = True
) -> Iterator[House]:
    """A house for the length of a with block; nothing of it is left afterwards. Not `supervised`: nobody tells that a
    gateway died.
    """
    house = House(directory, gateways=gateways, workers=workers, more=more, supervised=supervised)
    try:
        house.start()
        yield house
    finally:
        house.supervisor.stop()
