"""The watchdog of `wakegate up`, over small processes whose heartbeats are the test's."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.up import NODE_VARIABLE
from gateway.cli.watchdog import LEASES, Watchdog
from gateway.configuration import read
from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.settings import Settings
from gateway.supervisor.child import ProcessSpec
from gateway.supervisor.printer import Printer
from gateway.supervisor.supervise import Supervisor
from tests.integration.test_supervisor import SERVES, wait_until

LEASE_S = 10
STEP_S = LEASE_S / 2


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    file = tmp_path / "wakegate.toml"
    file.write_text(f'[redis]\nurl = "{redis_url}"\n[nodes]\nlease = {LEASE_S}\n')
    return read([file])


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    journal = Journal(redis_url)
    journal.start()
    yield journal
    journal.stop()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(Printer(io.BytesIO()))
    made.start_group([a_gateway("hung"), a_gateway("well")])
    yield made
    made.stop(1.0)


def a_gateway(node: str) -> ProcessSpec:
    return ProcessSpec(
        f"gateway.{node}", (), program=(sys.executable, "-c", SERVES), environ=lambda: {NODE_VARIABLE: node}
    )


def beat(journal: Journal, node: str) -> None:
    journal.call("HINCRBY", keys.NODES, node, 1)


def test_a_gateway_that_does_not_beat_for_three_leases_is_killed_and_started_again(
    supervisor: Supervisor, settings: Settings, journal: Journal
) -> None:
    watchdog = Watchdog(settings, supervisor, NODE_VARIABLE)
    hung, well = supervisor.children
    beat(journal, "hung")
    looks = int(LEASES * LEASE_S / STEP_S)
    for look in range(looks):
        beat(journal, "well")
        watchdog.look(1000 + look * STEP_S)
    before = (hung.restarts, well.restarts)
    beat(journal, "well")
    watchdog.look(1000 + looks * STEP_S)

    assert (0, 0) == before
    assert wait_until(lambda: hung.restarts == 1 and hung.is_ready)
    assert 0 == well.restarts


def test_who_was_held_up_itself_suspects_nobody(supervisor: Supervisor, settings: Settings, journal: Journal) -> None:
    watchdog = Watchdog(settings, supervisor, NODE_VARIABLE)
    pids = [child.pid for child in supervisor.children]
    for look in range(3):
        watchdog.look(1000 + look * LEASES * LEASE_S)

    assert pids == [child.pid for child in supervisor.children if child.is_ready]
