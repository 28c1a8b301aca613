"""Builders for tests of `wakegate push …`: a configuration, and the command as a process of its own or in this one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from gevent.os import make_nonblocking, nb_read

from gateway import cli
from gateway.mailbox.keys import CONSUMER_GROUP
from gateway.mailbox.pushes import STREAMS, Event, Pushes
from tests.push.sleeping import Town
from workers.consumer import Consumer
from workers.push.cli import push
from workers.sandbox.server import Sandbox

ROOT = Path(__file__).parents[2]
DEVICE = "ab" * 32


def a_configuration(directory: Path, redis_url: str, sandbox: Sandbox) -> Path:
    """Both providers at the sandbox, and `stranger`, whose key nobody knows."""
    where = sandbox.addresses
    apns = f"""
provider = "apns"
topic = "org.example.chat"
team_id = "TEAM123456"
key_file = "{where["apns_key_file"]}"
ca_file = "{where["ca_file"]}"
endpoint = "{where["apns_endpoint"]}"
sandbox_endpoint = "{where["apns_development_endpoint"]}"
"""
    file = directory / "wakegate.toml"
    file.write_text(f"""
[redis]
url = "{redis_url}"
timeout_s = 1.0

[push]
request_timeout = 5.0

[push.apps.chat]
key_id = "KEY1234567"
{apns}
[push.apps.stranger]
key_id = "KEY0000000"
{apns}
[push.apps.droid]
provider = "fcm"
service_account_file = "{where["service_account_file"]}"
endpoint = "{where["fcm_endpoint"]}"
""")
    return file


def ask(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `wakegate push WORDS`."""
    return run(*words, "--config", str(config), cwd=ROOT)


def run(*words: str, cwd: Path, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    """The same in another directory, with something on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", "push", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        input=typed if typed is not None else "",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def call(config: Path, *words: str) -> Done:
    """As `ask`, in this process: a new one takes seconds on a busy machine."""
    out, err = io.StringIO(), io.StringIO()
    arguments = [*words, "--config", str(config)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.run(lambda: push.main(arguments, prog_name="wakegate push", standalone_mode=False))
    return Done(status, out.getvalue(), err.getvalue())


def in_json(done: Done | subprocess.CompletedProcess[str]) -> Any:
    """What a command with --json printed."""
    return json.loads(done.stdout)


def at_a_terminal(cwd: Path, words: Sequence[str], answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Somebody sits at a terminal and answers each question when it stands there; exit status and all that was seen."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "push", *words],
        cwd=cwd,
        stdin=other,
        stdout=other,
        stderr=other,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(other)
    make_nonblocking(main)  # the sandbox lives in this process, too
    seen, left = b"", list(answers)
    try:
        with gevent.Timeout(60):
            while piece := _read(main):
                seen += piece
                if left and left[0][0].encode() in seen.rpartition(b"\n")[2]:
                    os.write(main, f"{left.pop(0)[1]}\n".encode())
    finally:
        os.close(main)
    return process.wait(30), seen.decode()


def _read(terminal: int) -> bytes:
    try:
        return bytes(nb_read(terminal, 4096))
    except OSError:  # Linux says so when the other side is closed
        return b""


def the_event(town: Town) -> Event:
    """The push event that waits, as a worker reads it."""
    consumer = Consumer(town.url, streams=tuple(STREAMS), group=CONSUMER_GROUP, name="resigned", claim_after_s=60)
    try:
        (entry,) = list(consumer.read(10, block_s=1.0))
    finally:
        consumer.leave()
    return Event.read(STREAMS[entry.stream], entry.id, entry.fields)


def a_dead_letter(town: Town, why: str = "why not") -> None:
    """What a worker does that gives up."""
    town.a_sleeping_phone().gets()
    pushes, event = Pushes(town.journal), the_event(town)
    claim: Any = pushes.claim(event, floor_ms=0)
    pushes.bury(event, claim.registrations[0], why)
    pushes.outcome(event, claim.registrations[0], "dead")
    pushes.done(event, final=True)
