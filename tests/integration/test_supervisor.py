"""The supervisor over real processes: small programs that behave well or badly."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from gateway.supervisor.child import ProcessSpec
from gateway.supervisor.printer import Printer
from gateway.supervisor.supervise import StartFailedError, Supervisor

SERVES = "from gateway.supervisor import notify_ready; import time; print('hello'); notify_ready(); time.sleep(600)"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVES
FAILS = "import sys; print('no such file'); sys.exit(3)"
NEVER_READY = "import time; time.sleep(600)"


def a_process(name: str, code: str = SERVES, **more: object) -> ProcessSpec:
    return ProcessSpec(name, (), program=(sys.executable, "-c", code), **more)  # type: ignore[arg-type]


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(0.01)
    return True


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def output() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def supervisor(output: io.BytesIO) -> Iterator[Supervisor]:
    made = Supervisor(Printer(output))
    yield made
    made.stop(1.0)


def test_a_group_is_started_when_the_one_before_it_serves(supervisor: Supervisor) -> None:
    supervisor.start_group([a_process("first")])
    first_was_ready = supervisor.children[0].is_ready
    supervisor.start_group([a_process("second.1"), a_process("second.2")])

    assert first_was_ready
    assert [True, True, True] == [child.is_ready for child in supervisor.children]


def test_each_line_stands_behind_the_name_of_its_process(supervisor: Supervisor, output: io.BytesIO) -> None:
    supervisor.start_group([a_process("gateway.1"), a_process("push")])

    assert wait_until(lambda: output.getvalue().count(b"\n") == 2)
    assert {b"gateway.1  | hello", b"push       | hello"} == set(output.getvalue().splitlines())


def test_a_process_that_is_killed_is_restarted_at_once(supervisor: Supervisor) -> None:
    supervisor.start_group([a_process("victim")])
    child = supervisor.children[0]
    first = child.pid
    os.kill(first, signal.SIGKILL)

    assert wait_until(lambda: child.is_ready and child.pid != first)
    assert 1 == child.restarts


def test_each_start_has_an_environment_of_its_own_and_a_death_is_told_with_it(supervisor: Supervisor) -> None:
    names = iter(["node-1", "node-2"])
    dead: list[str] = []
    spec = a_process(
        "gateway",
        environ=lambda: {"WAKEGATE__SERVER__NODE": next(names)},
        on_death=lambda env: dead.extend(env.values()),
    )
    supervisor.start_group([spec])
    child = supervisor.children[0]
    os.kill(child.pid, signal.SIGKILL)

    assert wait_until(lambda: child.is_ready and child.restarts == 1)
    assert wait_until(lambda: dead)
    assert ["node-1"] == dead
    assert {"WAKEGATE__SERVER__NODE": "node-2"} == child.added


def test_a_death_hook_that_fails_does_not_stop_the_restart(supervisor: Supervisor) -> None:
    def fail(_: object) -> None:
        raise OSError("nobody there")

    supervisor.start_group([a_process("gateway", on_death=fail)])
    child = supervisor.children[0]
    os.kill(child.pid, signal.SIGKILL)

    assert wait_until(lambda: child.is_ready and child.restarts == 1)


def test_a_first_start_that_fails_is_an_error_and_no_loop(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailedError, match="broken ended with status 3 before it was ready"):
        supervisor.start_group([a_process("broken", FAILS)])

    assert 0 == supervisor.children[0].restarts


def test_a_process_that_is_never_ready_is_not_waited_for_for_ever(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailedError, match=r"sleepy is not ready after 0\.3 s"):
        supervisor.start_group([a_process("sleepy", NEVER_READY)], timeout_s=0.3)


def test_stopping_ends_the_last_group_first(output: io.BytesIO) -> None:
    says_when = (
        "import signal, sys, time; signal.signal(15, lambda *a: (print('ends', flush=True), sys.exit(0))); " + SERVES
    )
    supervisor = Supervisor(Printer(output))
    supervisor.start_group([a_process("redis", says_when)])
    supervisor.start_group([a_process("gateway", says_when)])
    supervisor.stop()
    ends = [line.split()[0] for line in output.getvalue().splitlines() if line.endswith(b"ends")]

    assert [b"gateway", b"redis"] == ends


def test_a_process_that_will_not_stop_is_killed(output: io.BytesIO) -> None:
    supervisor = Supervisor(Printer(output))
    supervisor.start_group([a_process("stubborn", IGNORES_SIGTERM)])
    pid = supervisor.children[0].pid
    supervisor.stop(0.2)

    assert not is_alive(pid)
    assert b"stubborn does not stop within 0.2 s: killed" in output.getvalue()


def test_asking_twice_kills_at_once(output: io.BytesIO) -> None:
    supervisor = Supervisor(Printer(output))
    supervisor.start_group([a_process("stubborn", IGNORES_SIGTERM)])
    started = time.monotonic()
    supervisor.request_stop()
    supervisor.request_stop()
    supervisor.stop(60)

    assert 30 > time.monotonic() - started
    assert -signal.SIGKILL == supervisor.children[0].status


SUPERVISES = f"""
import sys, gevent
from gevent import monkey
monkey.patch_all()
from gateway.supervisor.child import ProcessSpec
from gateway.supervisor.printer import Printer
from gateway.supervisor.supervise import Supervisor
supervisor = Supervisor(Printer())
supervisor.start_group([ProcessSpec("child", (), program=(sys.executable, "-c", {SERVES!r}))])
print(supervisor.children[0].pid, flush=True)
supervisor.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death signal is Linux' own")
def test_no_child_outlives_a_supervisor_that_was_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", SUPERVISES], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = 0
    while not pid:
        line = parent.stdout.readline().strip()
        pid = int(line) if line.isdigit() else 0
    parent.kill()
    parent.wait(10)
    parent.stdout.close()

    assert wait_until(lambda: not is_alive(pid))
