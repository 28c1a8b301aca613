"""The demo's own Wakegate: `wakegate up --demo` in a directory and on ports of its own, nothing of which is left."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import gevent
from gevent import socket

from gateway.demo.stream import Address
from gateway.errors import WakegateError
from gateway.process import dies_with_parent

READY: Final = "Wakegate is ready"
START_S: Final = 60.0
STOP_S: Final = 20.0
COMMAND_S: Final = 30.0
LOOK_S: Final = 0.02
DOMAIN: Final = "localhost"
SANDBOX_PORTS: Final = ("apns", "apns-development", "fcm", "control", "webpush")
PROGRAM: Final = (sys.executable, "-P", "-m", "gateway")


class StageError(WakegateError):
    """The demo's own server does not do what the story needs of it; the text says what."""

    metric = "demo_stage"


class Stage:
    """One running server. `settings` are lines of TOML beyond addresses and directories."""

    def __init__(self, directory: Path, settings: str) -> None:
        self.directory = directory
        self.log_file = directory / "log"
        self._config = directory / "wakegate.toml"
        self._ports = dict(zip(("c2s", "c2s_tls", "web"), _free_ports(3), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        listen = "".join(f'{name} = ["127.0.0.1:{port}"]\n' for name, port in self._ports.items())
        self._config.write_text(
            f'[server]\ndomains = ["{DOMAIN}"]\ndata_dir = {json.dumps(str(directory / "data"))}\n'
            f"[listen]\n{listen}websocket = []\n{settings}",
            encoding="utf-8",
        )

    # Life

    def start(self) -> None:
        """Start all processes and wait until they serve. Raises StageError."""
        options = (part for name in SANDBOX_PORTS for part in ("--sandbox-option", f"{name}=127.0.0.1:0"))
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [*PROGRAM, "up", "--demo", *options, "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=_environ(),
                start_new_session=True,  # Ctrl-C is for the demo alone, which stops the rest in order
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )
        self.wait(lambda: READY in self.log(), "`wakegate up --demo` to be ready", START_S)

    def stop(self) -> None:
        """Stop all processes: asked by SIGTERM, made to by SIGKILL."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children get SIGTERM from the kernel (gateway/process.py)
            self._process.wait(STOP_S)
        self._process = None

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Return as soon as `condition` holds. Raises StageError, also when the server ended meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self._process is None or self._process.poll() is not None:
                raise StageError(f"waited for {what}, but the server ended")
            if time.monotonic() > deadline:
                raise StageError(f"waited {timeout_s:g} s for {what}")
            gevent.sleep(LOOK_S)

    def log(self) -> str:
        """What the processes wrote."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    # What the story needs

    def address(self, *, direct_tls: bool = False) -> Address:
        """Where clients connect; they check the certificate that the server made for itself."""
        certificate = self.directory / "data" / "tls" / "self-signed.crt"
        if direct_tls:
            return Address("127.0.0.1", self._ports["c2s_tls"], DOMAIN, "direct", str(certificate))
        return Address("127.0.0.1", self._ports["c2s"], DOMAIN, "starttls", str(certificate))

    def password(self, name: str) -> str:
        """Of a demo account. Raises StageError."""
        accounts = json.loads((self.directory / "data" / "demo" / "accounts.json").read_text(encoding="utf-8"))
        found = accounts.get(f"{name}@{DOMAIN}")
        if not isinstance(found, str):
            raise StageError(f"`wakegate up --demo` made no account {name}@{DOMAIN}")
        return found

    def gateway(self) -> int:
        """The gateway's process id; 0 while there is none."""
        if self._process is None:
            return 0
        return next((pid for pid, words in _children(self._process.pid) if "gateway" in _subcommand(words)), 0)

    def kill_gateway(self) -> int:
        """`kill -9`. Answers the process id that is gone. Raises StageError if there was none."""
        victim = self.gateway()
        if not victim:
            raise StageError("there is no gateway process to kill")
        os.kill(victim, signal.SIGKILL)
        return victim

    def status(self) -> dict[str, Any]:
        """What `wakegate status --json` says. Raises StageError."""
        command = [*PROGRAM, "status", "--json", "--config", str(self._config)]
        try:
            done = subprocess.run(  # noqa: S603 - ourselves
                command, capture_output=True, cwd=self.directory, env=_environ(), timeout=COMMAND_S, check=True
            )
            found: dict[str, Any] = json.loads(done.stdout)
        except (subprocess.SubprocessError, ValueError) as error:
            raise StageError(f"wakegate status: {error}") from error
        return found

    def pushes(self, token: str, *, since: int = 0, wait_s: float = 0.0) -> list[dict[str, Any]]:
        """Pushes for `token` that the sandbox accepted, oldest first; waits up to `wait_s` for the first one.

        Raises StageError.
        """
        file = self.directory / "data" / "sandbox" / "addresses.json"
        try:
            control = json.loads(file.read_text(encoding="utf-8"))["control"]
            connection = http.client.HTTPConnection(control, timeout=wait_s + 10.0)
            try:
                connection.request("GET", f"/pushes?since={since}&status=200&token={token}&wait={wait_s:g}")
                found: list[dict[str, Any]] = json.loads(connection.getresponse().read())["pushes"]
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise StageError(f"the sandbox does not tell what it received: {error!r}") from error
        return found


@contextmanager
def a_stage(settings: str) -> Iterator[Stage]:
    """A stage that is not started yet, for the length of a with block; then its processes and files are gone."""
    directory = Path(tempfile.mkdtemp(prefix="wakegate-demo-"))
    stage = Stage(directory, settings)
    try:
        yield stage
    finally:
        try:
            stage.stop()
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _environ() -> Mapping[str, str]:
    """Without the operator's own settings: they are for another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WAKEGATE_")}


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def _subcommand(words: list[str]) -> list[str]:
    """The word behind `-m gateway`: which command a process runs."""
    at = words.index("-m") if "-m" in words else len(words)
    return words[at + 2 : at + 3]


def _children(parent: int) -> list[tuple[int, list[str]]]:
    """(process id, command line) of each child: from /proc, or by ps where there is none."""
    if not Path("/proc/self/stat").exists():
        return _children_by_ps(parent)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # After the name, which may hold anything, in parentheses: state, parent.
            above = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (OSError, IndexError, ValueError):
            continue  # it ended while we looked
        if above == parent and words[0]:
            found.append((int(entry.name), words))
    return found


def _children_by_ps(parent: int) -> list[tuple[int, list[str]]]:
    try:
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,args="],  # noqa: S607 - where it lies differs
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StageError(f"ps: {error}") from error
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [(int(row[0]), row[2:]) for row in rows if len(row) > 2 and row[1] == str(parent)]
