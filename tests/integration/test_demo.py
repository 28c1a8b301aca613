"""`wakegate demo` as a newcomer runs it, and as it must end when the server breaks its promise."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from gateway.process import dies_with_parent

DEMO = [sys.executable, "-P", "-m", "gateway", "demo", "--json"]

LOSES_A_MESSAGE = """
from gevent import monkey; monkey.patch_all()
import redis
from gateway.cli import main
from gateway.demo import story
from gateway.mailbox import embedded

kill = story.Stage.kill_gateway

def kill_and_lose(stage):
    gone = kill(stage)
    store = redis.Redis.from_url(embedded.resolve("embedded", stage.directory / "data"))
    queues = [key for key in store.scan_iter("*:q:*") if store.llen(key)]
    held = [(key, entry) for key in queues for entry in store.lrange(key, 0, -1) if b"romeo-" in entry]
    assert held, queues
    store.lrem(held[0][0], 1, held[0][1])
    return gone

story.Stage.kill_gateway = kill_and_lose
main()
"""


def run_demo(tmp_path: Path, *command: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=110,
        cwd=tmp_path,
        check=False,
        preexec_fn=dies_with_parent(),
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of its own for temporary files, with a path that is short enough for a unix socket."""
    with tempfile.TemporaryDirectory(prefix="wg-") as made:
        yield Path(made)


@pytest.mark.slow
def test_the_demo_loses_nothing_and_says_what_it_saw(tmp_path: Path) -> None:
    status, said, errors = run_demo(tmp_path, *DEMO)

    assert (0, []) == (status, said.get("faults")), f"{errors}\n{said}"
    figures = said["totals"]
    assert 40 < figures["sent"] == figures["accepted"] == figures["received"]
    assert (0, 0, 0) == (figures["lost"], figures["doubled"], figures["disordered"])
    assert [1, 0, 1] == [len(wakeup["pushes_ms"]) for wakeup in said["wakeups"]]
    assert figures["sent"] == said["fates"]["accepted"] == said["fates"]["acked"]
    assert all(step["ok"] for step in said["steps"])
    assert said["took_s"] < 60


@pytest.mark.slow
def test_the_demo_fails_when_the_server_loses_a_message(tmp_path: Path) -> None:
    status, said, errors = run_demo(tmp_path, sys.executable, "-c", LOSES_A_MESSAGE, "demo", "--json")

    assert (1, False) == (status, said.get("ok")), f"{errors}\n{said}"
    assert 1 <= said["totals"]["lost"]
    assert any(fault.endswith("was lost") for fault in said["faults"])
    assert "The end of the server's log" in errors


@contextmanager
def a_running_demo(place: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A demo whose server has just started, and all processes below it."""
    demo = subprocess.Popen(
        [word for word in DEMO if word != "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(place)},
        preexec_fn=dies_with_parent(),
    )
    with demo:
        assert demo.stdout is not None

        assert "Wakegate starts" in demo.stdout.readline()
        family = psutil.Process(demo.pid).children(recursive=True)
        assert 5 < len(family)
        yield demo, family


@pytest.mark.slow
def test_a_demo_that_is_stopped_leaves_no_process_and_no_file(place: Path) -> None:
    with a_running_demo(place) as (demo, family):
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=60)

    assert (130, "wakegate: stopped; nothing is left behind\n") == (demo.returncode, errors)
    assert [] == [process.cmdline() for process in family if is_running(process)]
    assert [] == list(place.iterdir())


@pytest.mark.slow
def test_a_demo_whose_server_ends_says_so_and_leaves_nothing(place: Path) -> None:
    with a_running_demo(place) as (demo, family):
        next(process for process in family if "up" in process.cmdline()).kill()
        output, errors = demo.communicate(timeout=100)

    assert 1 == demo.returncode
    assert "wrong: " in output and "Promises were broken." in output
    assert "The end of the server's log" in errors
    assert [] == [process.cmdline() for process in family if is_running(process)]
    assert [] == list(place.iterdir())


def is_running(process: psutil.Process) -> bool:
    """Within 20 s it may still end: a gateway whose Redis went with its supervisor gives its sessions some time."""
    deadline = time.monotonic() + 20.0
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return True
        time.sleep(0.02)
    return False
