"""`wakegate sandbox` as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import gevent
import pytest
from gevent.os import tp_read

ANYWHERE = ("--apns", "--apns-development", "--fcm", "--control", "--webpush")


def start(data_dir: Path, *, ready: int) -> subprocess.Popen[str]:
    ports = [part for option in ANYWHERE for part in (option, "127.0.0.1:0")]
    command = [sys.executable, "-m", "gateway", "sandbox", "--json", "--data-dir", str(data_dir), *ports]
    environment = os.environ | {"WAKEGATE_READY_FD": str(ready)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, pass_fds=[ready])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sandbox_says_when_it_is_ready_and_where_and_stops_on_a_signal(tmp_path: Path, number: int) -> None:
    readable, writable = os.pipe()
    with start(tmp_path, ready=writable) as process:
        os.close(writable)
        try:
            with gevent.Timeout(60):
                said = tp_read(readable, 100)
            process.send_signal(number)
            printed, _ = process.communicate(timeout=30)
        finally:
            # Does nothing to a process that has ended, and keeps a failing test from waiting for ever.
            process.kill()
    os.close(readable)
    assert said
    assert json.loads(printed) == json.loads((tmp_path / "sandbox" / "addresses.json").read_bytes())
    assert 0 == process.returncode


def test_an_address_in_use_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    from workers.sandbox.server import Addresses, Sandbox

    with Sandbox(tmp_path, Addresses.free()) as sandbox:
        command = [sys.executable, "-m", "gateway", "sandbox", "--data-dir", str(tmp_path / "b")]
        command += [part for option in ANYWHERE for part in (option, sandbox.addresses["control"])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert 1 == done.returncode
    assert "choose other ports" in done.stderr
    assert sandbox.addresses["control"] in done.stderr


def test_a_wrong_address_is_wrong_use() -> None:
    command = [sys.executable, "-m", "gateway", "sandbox", "--apns", "2197"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert 2 == done.returncode
    assert "HOST:PORT" in done.stderr
