"""A server in pieces: Redis and gateway as processes of their own, so that a test can stop one and watch the other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
import psutil
import redis

from gateway.mailbox import keys
from gateway.mailbox.embedded import is_answering, socket_path
from gateway.process import dies_with_parent
from tests.support.processes import Server, Settings


class Pieces(Server):
    """`wakegate redis`, `wakegate gateway` and what else is named, without a supervisor and without push workers.

    Nobody consumes push events, so that a test can read them.
    """

    def __init__(self, directory: Path, *, commands: tuple[str, ...] = (), settings: Settings | None = None) -> None:
        super().__init__(directory, settings=settings)
        self._commands = ("redis", "gateway", *commands)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, timeout_s: float = 30.0) -> "Pieces":
        """Starts Redis, then the others; returns when clients can log in."""
        for command in self._commands:
            self.launch(command, timeout_s)
        return self

    def launch(self, command: str, timeout_s: float = 30.0) -> None:
        """Starts one process, and waits until Redis answers or clients can connect."""
        with self.log_file.open("ab") as log:
            self._process = self._running[command] = subprocess.Popen(
                [sys.executable, "-m", "gateway", command, "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                preexec_fn=dies_with_parent(),
            )
        if command == "redis":
            self.wait(lambda: is_answering(self.directory / "data"), "Redis to answer", timeout_s)
        elif command == "gateway":
            self.wait_accepting(timeout_s)
        self._process = self._running.get("gateway", self._process)

    def stop(self, timeout_s: float = 20.0) -> int:
        """SIGTERM to all, Redis last, then SIGKILL; answers the gateway's exit status."""
        self.freeze_redis(frozen=False)
        status = 0
        for command in reversed(self._commands):
            process = self._running.pop(command, None)
            if process is None:
                continue
            family = _family(process.pid)
            process.terminate()
            try:
                ended = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                ended = process.wait(timeout_s)
            status = ended if command == "gateway" else status
            for left in family:
                with suppress(psutil.NoSuchProcess):
                    left.kill()
        self._process = None
        return status

    def family(self) -> list[psutil.Process]:
        """Every process of this server."""
        return [one for process in self._running.values() for one in _family(process.pid)]

    # The store

    @property
    def store(self) -> "redis.Redis[Any]":
        """A connection of the test's own to Redis."""
        return redis.Redis(unix_socket_path=str(socket_path(self.directory / "data")))

    def valkey(self) -> psutil.Process | None:
        """The Redis server itself, below `wakegate redis`."""
        parent = self._running.get("redis")
        children = psutil.Process(parent.pid).children() if parent is not None and parent.poll() is None else []
        return children[0] if children else None

    def freeze_redis(self, *, frozen: bool = True) -> None:
        """SIGSTOP, or SIGCONT: sockets stay open, and nothing is answered meanwhile."""
        valkey = self.valkey()
        if valkey is not None:
            valkey.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill_redis(self) -> None:
        """SIGKILL; `launch("redis")` starts another on the same files."""
        valkey = self.valkey()
        assert valkey is not None
        valkey.kill()
        self._running.pop("redis").wait(20)

    def events(self, user: str) -> list[tuple[str, str]]:
        """(reason, class) of every push event for an account (a bare JID), oldest first."""
        found = self.store.xrange(keys.key(keys.prefix(user), "events"))
        mine = [fields for _, fields in found if fields[b"user"] == user.encode()]
        return [(fields[b"reason"].decode(), fields[b"class"].decode()) for fields in mine]

    def offline(self, user: str) -> int:
        """Number of messages in an account's offline store."""
        return int(self.store.llen(keys.key(keys.prefix(user), "offline", user)))

    def session(self, user: str, sid: str) -> dict[str, str]:
        """What the store knows of a session; empty if it is gone."""
        fields = self.store.hgetall(keys.key(keys.prefix(user), "session", sid))
        return {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}

    # The gateway

    @property
    def gateway(self) -> psutil.Process:
        """The gateway process, which has to live."""
        process = self._running["gateway"]
        assert process.poll() is None, f"the gateway ended. Its log:\n{self.log()[-6000:]}"
        return psutil.Process(process.pid)

    def memory_mb(self) -> float:
        """Resident memory of the gateway."""
        return float(self.gateway.memory_info().rss) / 1e6

    def faults(self) -> list[str]:
        """Lines of the log that tell of a fault of ours."""
        names = (
            "Traceback",
            "_failed session",
            "stanza_failed",
            "connection_failed",
            "callback_failed",
            "chore_failed",
        )
        return [line for line in self.log().splitlines() if any(name in line for name in names)]


@contextmanager
def pieces(directory: Path, *, commands: tuple[str, ...] = (), settings: Settings | None = None) -> Iterator[Pieces]:
    """A started server for the length of a with block; nothing of it is left afterwards."""
    server = Pieces(directory, commands=commands, settings=settings)
    try:
        yield server.start()
    finally:
        server.stop()


def eventually(condition: Any, what: str, timeout_s: float = 15.0) -> None:
    """Returns as soon as `condition()` is true. Fails with `what` otherwise."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        gevent.sleep(0.02)


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [one for one in (root, *root.children(recursive=True)) if one.pid != os.getpid()]
    return []
