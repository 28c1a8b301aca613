"""A whole Wakegate for one test: processes, ports and directory of its own, and the means to kill any part of it."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gevent
import psutil
from gevent import socket

from gateway.demo.client import Client
from gateway.demo.stream import Address
from gateway.process import dies_with_parent

PASSWORD = "open sesame"  # of every account a test makes
DOMAIN = "localhost"
Tls = Literal["starttls", "direct"]
Settings = Mapping[str, Mapping[str, Any]]


class NotInTime(AssertionError):
    """What a test waited for did not come; the text carries the end of the server's log."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account nobody else in this test run uses."""

    name: str

    @property
    def jid(self) -> str:
        """The bare JID."""
        return f"{self.name}@{DOMAIN}"


class Server:
    """`wakegate up` (or one of its commands) below a directory; start() returns when clients can log in.

    `settings` are sections and keys of the configuration that differ from a test's defaults.
    """

    def __init__(
        self, directory: Path, *, arguments: tuple[str, ...] = ("up",), settings: Settings | None = None
    ) -> None:
        self.directory = directory
        self.arguments = arguments
        self.ports = dict(zip(("c2s", "c2s_tls", "websocket", "web"), free_ports(4), strict=True))
        self.config = directory / "wakegate.toml"
        self.log_file = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"user{number}" for number in itertools.count(1))
        self._spare: list[Account] = []
        directory.mkdir(parents=True, exist_ok=True)
        self.config.write_text(_toml(self._sections(settings or {})))

    def _sections(self, changed: Settings) -> Settings:
        sections: dict[str, dict[str, Any]] = {
            "server": {"domains": [DOMAIN], "data_dir": str(self.directory / "data")},
            "listen": {name: [f"127.0.0.1:{port}"] for name, port in self.ports.items()},
            "redis": {"appendfsync": "everysec"},
        }
        for name, values in changed.items():
            sections.setdefault(name, {}).update(values)
        return sections

    # Life

    def start(self, timeout_s: float = 30.0) -> "Server":
        """Starts the processes and waits until both c2s ports accept."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", *self.arguments, "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                preexec_fn=dies_with_parent(),
            )
        self.wait_accepting(timeout_s)
        return self

    def wait_accepting(self, timeout_s: float = 30.0) -> None:
        """Returns when both c2s ports accept connections. Raises NotInTime."""
        self.wait(
            lambda: all(_accepts(self.ports[name]) for name in ("c2s", "c2s_tls")), "the server to accept", timeout_s
        )

    def stop(self, timeout_s: float = 20.0) -> int:
        """Ends everything as an operator would (SIGTERM), then by force; answers the exit status."""
        if self._process is None:
            return 0
        family = self.family()
        self._process.terminate()
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(timeout_s)
        finally:
            self._process = None
            _kill_all(family)

    def kill_everything(self) -> None:
        """SIGKILL to the supervisor and all of its children at once, as when the machine dies."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        _kill_all(family)
        if self._process is not None:
            self._process.wait(10)
            self._process = None

    def family(self) -> list[psutil.Process]:
        """The supervisor and every process below it."""
        if self._process is None:
            return []
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def children(self, command: str) -> list[psutil.Process]:
        """The processes that run `wakegate <command>`: gateway, push, sweeper, web, sandbox."""
        return [process for process in self.family() if command == _command_of(process)]

    def kill(self, command: str) -> int:
        """SIGKILL to one process that runs `command`; the supervisor starts another. Answers the pid that is gone."""
        self.wait(lambda: bool(self.children(command)), f"a {command} process")
        victim = self.children(command)[0]
        victim.kill()
        with suppress(psutil.NoSuchProcess):
            victim.wait(10)
        return int(victim.pid)

    def redis(self) -> list[psutil.Process]:
        """The embedded Redis itself, not the command that runs it."""
        return [process for process in self.family() if process.name() in ("valkey-server", "redis-server")]

    def signal(self, command: str, number: signal.Signals) -> None:
        """Sends a signal (STOP, CONT, TERM) to every process that runs `command`."""
        for process in self.children(command):
            process.send_signal(number)

    # What a test asks

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
        """Returns as soon as `condition` holds. Raises NotInTime, also when the server ended meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise NotInTime(
                    f"waited {timeout_s} s for {what}{'; the server ended' * ended}. Its log:\n{self.log()[-6000:]}"
                )
            gevent.sleep(0.02)

    def log(self) -> str:
        """Everything that the processes wrote."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Runs `wakegate <arguments>` with this server's configuration and answers its output. Raises on failure."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments, "--config", str(self.config)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.directory,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"wakegate {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def add_accounts(self, count: int) -> list[Account]:
        """Makes accounts that nobody else gets, in one go."""
        names = list(itertools.islice(self._names, count))
        file = self.directory / f"accounts-{names[0]}"
        file.write_text("".join(f"{name}@{DOMAIN}:{PASSWORD}\n" for name in names))
        self.command("user", "import", str(file))
        return [Account(name) for name in names]

    def stock_accounts(self, count: int) -> None:
        """Makes accounts for account() to hand out: one command for many tests."""
        self._spare += self.add_accounts(count)

    def account(self) -> Account:
        """An account that no test has used yet."""
        if not self._spare:
            self.stock_accounts(20)
        return self._spare.pop(0)

    def address(self, tls: Tls = "starttls") -> Address:
        """Where clients connect, with the server's certificate to verify."""
        return Address("127.0.0.1", self.ports["c2s" if tls == "starttls" else "c2s_tls"], DOMAIN, tls, self.cafile)

    @property
    def cafile(self) -> str:
        """The certificate that the server made for itself."""
        return str(self.directory / "data" / "tls" / "self-signed.crt")

    def client(self, account: Account, *, resource: str = "", tls: Tls = "starttls") -> Client:
        """A client that is not connected yet."""
        return Client(account.name, PASSWORD, self.address(tls), resource=resource)


@contextmanager
def running(
    directory: Path, *, arguments: tuple[str, ...] = ("up",), settings: Settings | None = None
) -> Iterator[Server]:
    """A started server for the length of a with block; nothing of it is left afterwards."""
    server = Server(directory, arguments=arguments, settings=settings)
    try:
        yield server.start()
    finally:
        server.stop()


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _command_of(process: psutil.Process) -> str:
    """The word behind `python -m gateway`, or "" for another program."""
    try:
        line = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""
    for at, word in enumerate(line[:-1]):
        if word == "gateway" and line[at - 1] == "-m":
            return str(line[at + 1])
    return ""


def _kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs([process for process in processes if process.pid != os.getpid()], timeout=10)


def _toml(sections: Settings) -> str:
    """Only what a configuration here needs: strings, numbers, booleans and lists of strings."""
    lines: list[str] = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return str(value)
