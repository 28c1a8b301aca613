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

from tests.support.sandbox_control import SandboxControl

ANYWHERE = ("--apns", "--apns-development", "--fcm", "--control", "--webpush")


def start(data_dir: Path, *more: str, ready: int) -> subprocess.Popen[str]:
    ports = [part for option in ANYWHERE for part in (option, "127.0.0.1:0")]
    command = [sys.executable, "-m", "gateway", "sandbox", "--json", "--data-dir", str(data_dir), *ports, *more]
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


def test_a_scenario_is_played_from_the_start(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text('name = "short"\nsteps = [{ do = "POST /control/settings", body = { apns_frozen = true } }]\n')
    readable, writable = os.pipe()
    with start(tmp_path, "--scenario", str(scenario), ready=writable) as process:
        os.close(writable)
        try:
            with gevent.Timeout(60):
                tp_read(readable, 100)
            addresses = json.loads((tmp_path / "sandbox" / "addresses.json").read_bytes())
            control = SandboxControl(addresses["control"])
            status = control.ask("GET", "/control/scenario?wait=20")
            settings = control.ask("GET", "/control/settings")
        finally:
            process.kill()
    os.close(readable)

    assert ("short", False, 1) == (status["name"], status["playing"], status["done"])
    assert settings["apns_frozen"]


def test_a_scenario_that_cannot_be_read_is_one_line_with_the_place(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text("steps = [{ do = 'SHOUT' }]")
    command = [sys.executable, "-m", "gateway", "sandbox", "--data-dir", str(tmp_path), "--scenario", str(scenario)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert 1 == done.returncode
    assert "scenario.toml" in done.stderr
    assert "steps[0].do" in done.stderr
