"""A running worker process follows new keys by itself, and a new configuration on SIGHUP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.process import dies_with_parent
from tests.push.builders import an_iphone_app
from tests.push.sleeping import Town, wait_until
from workers.sandbox.server import Sandbox


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def configuration(town: Town, sandbox: Sandbox, key_file: Path, *names: str) -> str:
    """Redis, and one app for each name, all with the same key."""
    lines = [f"[redis]\nurl = {json.dumps(town.url)}\n[push]\nfloor = 0\n"]
    app = an_iphone_app(sandbox)
    for name in names:
        lines.append(f"[push.apps.{name}]\n")
        settings = ("provider", "topic", "team_id", "key_id", "endpoint", "sandbox_endpoint", "ca_file")
        lines.extend(f"{setting} = {json.dumps(getattr(app, setting))}\n" for setting in settings)
        lines.append(f"key_file = {json.dumps(str(key_file))}\n")
    return "".join(lines)


@pytest.fixture
def town(redis_url: str) -> Iterator[Town]:
    made = Town(redis_url)
    yield made
    made.leave()


@pytest.fixture
def key_file(tmp_path: Path, sandbox: Sandbox) -> Path:
    file = tmp_path / "AuthKey.p8"
    file.write_bytes(Path(sandbox.addresses["apns_key_file"]).read_bytes())
    return file


@pytest.fixture
def process(town: Town, sandbox: Sandbox, tmp_path: Path, key_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`wakegate push`, which knows the app `chat`."""
    config = tmp_path / "wakegate.toml"
    config.write_text(configuration(town, sandbox, key_file, "chat"))
    with (tmp_path / "log").open("wb") as log:
        started: Any = subprocess.Popen(
            [sys.executable, "-m", "gateway", "push", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "WAKEGATE__SERVER__DATA_DIR": str(tmp_path)},
            preexec_fn=dies_with_parent(),
        )
    yield started
    started.terminate()
    started.wait(30)


@pytest.mark.usefixtures("process")
def test_a_key_that_is_put_right_is_used_without_a_restart(town: Town, sandbox: Sandbox, key_file: Path) -> None:
    good = key_file.read_bytes()
    names = (f"user{number}@localhost" for number in range(200))

    def pushed_with(status: int) -> bool:
        gevent.sleep(0.25)
        town.a_sleeping_phone(next(names)).gets()
        return bool(sandbox.record.since(status=status))

    key_file.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    wait_until(lambda: pushed_with(403))
    key_file.write_bytes(good)
    sandbox.record.clear()
    wait_until(lambda: pushed_with(200))


def test_an_app_that_is_added_is_served_after_sighup(
    town: Town, sandbox: Sandbox, key_file: Path, tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    town.a_sleeping_phone(app="newer").gets()
    wait_until(lambda: town.outcomes() == {"skipped:unknown-app": 1})
    (tmp_path / "wakegate.toml").write_text(configuration(town, sandbox, key_file, "chat", "newer"))
    process.send_signal(signal.SIGHUP)
    town.a_sleeping_phone("romeo@localhost", app="newer").gets()
    wait_until(lambda: town.outcomes().get("delivered", 0) == 1)

    assert process.poll() is None


def test_a_configuration_that_is_wrong_changes_nothing(
    town: Town, tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    town.a_sleeping_phone().gets()
    wait_until(lambda: town.outcomes() == {"delivered": 1})
    (tmp_path / "wakegate.toml").write_text("[push]\nfloor = 'much'\n")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration_not_reloaded" in (tmp_path / "log").read_text())
    town.a_sleeping_phone("romeo@localhost").gets()
    wait_until(lambda: town.outcomes() == {"delivered": 2})

    assert process.poll() is None
