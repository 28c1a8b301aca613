"""What `wakegate up` plans, carried out with real processes on ports of their own."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from gateway.cli.store import connect
from gateway.cli.up import NODE_VARIABLE, Plan
from gateway.configuration import read
from gateway.mailbox import embedded, nodes
from gateway.mailbox.accounts import Accounts
from gateway.settings import Settings
from gateway.supervisor.printer import Printer
from gateway.supervisor.supervise import StartFailedError, Supervisor
from gateway.xmpp.sasl.credentials import Credentials, verify

SANDBOX_PORTS = tuple(f"{name}=127.0.0.1:0" for name in ("apns", "apns-development", "fcm", "control", "webpush"))


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(0.02)
    return True


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "wakegate.toml"
    file.write_text(
        f'[server]\ndata_dir = "{tmp_path}/data"\n[redis]\nappendfsync = "always"\n'
        f'[listen]\nc2s = ["127.0.0.1:{a_free_port()}"]\nc2s_tls = []\nwebsocket = []\nweb = []\n'
    )
    return file


@pytest.fixture
def settings(config: Path) -> Settings:
    return read([config])


@pytest.fixture
def plan(settings: Settings, config: Path) -> Plan:
    return Plan(settings, (config,))


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(Printer())
    yield made
    made.stop()


def declared_dead(settings: Settings) -> set[str]:
    with connect(settings) as journal:
        return nodes.declared_dead(journal)


def test_the_demo_has_accounts_and_apps_and_keeps_them(
    supervisor: Supervisor, plan: Plan, settings: Settings, config: Path, tmp_path: Path
) -> None:
    supervisor.start_group(plan.foundation(True, SANDBOX_PORTS))
    passwords = plan.set_up_demo()
    with connect(settings) as journal:
        fields = Accounts(journal).credentials("romeo@localhost") or {}
    apps = read([config, tmp_path / "data" / "demo" / "wakegate.toml"]).push.apps

    assert ["romeo@localhost", "juliet@localhost"] == list(passwords)
    assert verify(passwords["romeo@localhost"], Credentials.from_fields(fields))
    assert [("demo-ios", "apns"), ("demo-android", "fcm")] == [(name, app.provider) for name, app in apps.items()]
    assert passwords == plan.set_up_demo()
    assert 0o600 == (tmp_path / "data" / "demo" / "accounts.json").stat().st_mode & 0o777


def test_a_killed_gateway_comes_back_as_another_node_and_the_old_one_is_declared_dead(
    supervisor: Supervisor, plan: Plan, settings: Settings
) -> None:
    supervisor.start_group(plan.foundation(False))
    supervisor.start_group(plan.services(1)[:1])
    gateway = supervisor.children[-1]
    first, first_node = gateway.pid, gateway.added[NODE_VARIABLE]
    os.kill(first, signal.SIGKILL)

    assert wait_until(lambda: gateway.is_ready and gateway.pid != first)
    assert gateway.added[NODE_VARIABLE] != first_node
    assert wait_until(lambda: first_node in declared_dead(settings))


@pytest.mark.parametrize("victim", ["wakegate redis", "its server"])
def test_a_killed_redis_comes_back_with_what_it_knew(
    supervisor: Supervisor, plan: Plan, settings: Settings, tmp_path: Path, victim: str
) -> None:
    supervisor.start_group(plan.foundation(False))
    with connect(settings) as journal:
        Accounts(journal).create("romeo@localhost", {"sha1": "x"})
    redis = supervisor.children[0]
    server = int((tmp_path / "data" / "redis" / "valkey.pid").read_text())
    os.kill(redis.pid if victim == "wakegate redis" else server, signal.SIGKILL)

    assert wait_until(lambda: redis.restarts == 1 and redis.is_ready)
    assert embedded.is_answering(tmp_path / "data")
    with connect(settings) as journal:
        assert ["romeo@localhost"] == list(Accounts(journal).list())


def test_a_port_that_is_taken_ends_the_start(supervisor: Supervisor, plan: Plan, config: Path) -> None:
    port = int(config.read_text().rpartition('c2s = ["127.0.0.1:')[2].partition('"')[0])
    supervisor.start_group(plan.foundation(False))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(StartFailedError, match=r"gateway\.1 ended with status 1 before it was ready"):
            supervisor.start_group(plan.services(1)[:1])


def test_another_redis_needs_no_process_of_ours(settings: Settings, config: Path) -> None:
    with_url = read([config], {"redis.url": "redis://127.0.0.1:1"})

    assert [] == Plan(with_url, (config,)).foundation(False)
