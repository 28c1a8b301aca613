"""A rolling restart by the supervisor, over small processes that behave well or badly."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.supervisor.child import ProcessSpec
from gateway.supervisor.printer import Printer
from gateway.supervisor.supervise import RestartFailedError, Supervisor
from tests.integration.test_supervisor import IGNORES_SIGTERM, SERVES, is_alive, wait_until

TELLS_ITS_LIFE = """
import os, signal, sys, time
from pathlib import Path
from gateway.supervisor import notify_ready
life = Path({life!r})
def say(what):
    with life.open("a") as file:
        file.write(f"{{what}} {{os.getpid()}}\\n")
def end(*_):
    say("ends")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
say("serves")
notify_ready()
time.sleep(600)
"""
SERVES_ONCE = """
import sys, time
from pathlib import Path
from gateway.supervisor import notify_ready
mark = Path({mark!r})
if mark.exists():
    print("the new configuration is no good")
    sys.exit(1)
mark.touch()
notify_ready()
time.sleep(600)
"""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(Printer(io.BytesIO()))
    yield made
    made.stop(1.0)


def a_gateway(name: str, code: str, **more: object) -> ProcessSpec:
    return ProcessSpec(name, (), program=(sys.executable, "-c", code), overlaps=True, **more)  # type: ignore[arg-type]


def test_each_gateway_ends_only_when_its_successor_serves_and_one_after_the_other(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    life = tmp_path / "life"
    code = TELLS_ITS_LIFE.format(life=str(life))
    supervisor.start_group([ProcessSpec("redis", (), program=(sys.executable, "-c", SERVES), rolls=False)])
    supervisor.start_group([a_gateway("gateway.1", code), a_gateway("gateway.2", code)])
    redis, *old = (child.pid for child in supervisor.children)
    said: list[str] = []
    supervisor.restart(said.append)
    still, *new = (child.pid for child in supervisor.children)
    events = life.read_text().split("\n")[2:-1]

    assert ["gateway.1 restarted", "gateway.2 restarted"] == said
    assert [f"serves {new[0]}", f"ends {old[0]}", f"serves {new[1]}", f"ends {old[1]}"] == events
    assert redis == still


def test_a_successor_that_does_not_come_up_changes_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    code = SERVES_ONCE.format(mark=str(tmp_path / "mark"))
    supervisor.start_group([a_gateway("gateway.1", code), a_gateway("gateway.2", SERVES)])
    before = [child.pid for child in supervisor.children]
    with pytest.raises(RestartFailedError, match=r"gateway\.1 ended with status 1 before it was ready"):
        supervisor.restart(lambda _: None)

    assert before == [child.pid for child in supervisor.children]
    assert all(is_alive(pid) for pid in before)


def test_a_successor_that_dies_later_is_restarted_as_any_other(supervisor: Supervisor) -> None:
    supervisor.start_group([a_gateway("gateway.1", SERVES)])
    supervisor.restart(lambda _: None)
    successor = supervisor.children[0]
    pid = successor.pid
    os.kill(pid, signal.SIGKILL)

    assert wait_until(lambda: successor.is_ready and successor.pid != pid)


def test_a_gateway_that_does_not_leave_is_killed_and_declared_dead(supervisor: Supervisor) -> None:
    dead: list[object] = []
    supervisor.start_group([a_gateway("gateway.1", IGNORES_SIGTERM, on_death=dead.append, stop_s=0.2)])
    first = supervisor.children[0].pid
    supervisor.restart(lambda _: None)

    assert wait_until(lambda: len(dead) == 1 and not is_alive(first))


def test_a_worker_ends_before_its_successor_begins(supervisor: Supervisor, tmp_path: Path) -> None:
    life = tmp_path / "life"
    code = TELLS_ITS_LIFE.format(life=str(life))
    supervisor.start_group([ProcessSpec("web", (), program=(sys.executable, "-c", code))])
    old = supervisor.children[0].pid
    supervisor.restart(lambda _: None)

    assert [f"serves {old}", f"ends {old}", f"serves {supervisor.children[0].pid}"] == life.read_text().splitlines()
