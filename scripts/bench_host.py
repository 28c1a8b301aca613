"""The processes that a benchmark loads: started fresh, on ports nobody uses, and ended with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from gateway.demo.stream import Address
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.embedded import resolve
from gateway.mailbox.journal import Journal
from gateway.xmpp.sasl import derive


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A gateway with its Redis, as processes."""

    address: Address
    secure: Address
    gateway: psutil.Process
    redis: psutil.Process
    config: Path

    def cpu(self) -> tuple[float, float]:
        """CPU seconds used so far by the gateway and by Redis."""
        gateway, redis = (sum(process.cpu_times()[:2]) for process in (self.gateway, self.redis))
        return gateway, redis


def start(command: list[str], ready: Callable[[], bool]) -> subprocess.Popen[bytes]:
    """Start a process and wait until `ready`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(
                f"wakegate {command[0]} did not start: {(process.stderr.read() if process.stderr else b'').decode()}"
            )
        time.sleep(0.05)
    return process


def answers(port: int) -> bool:
    """Somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(users: int) -> Iterator[Server]:
    """A fresh server with accounts u0, u1, … whose password is `secret`."""
    with tempfile.TemporaryDirectory() as folder:
        plain, secure = free_port(), free_port()
        config = Path(folder) / "bench.toml"
        config.write_text(
            f'[server]\ndata_dir = "{folder}"\n[tls]\nrequired = false\n[log]\nlevel = "warning"\n[listen]\n'
            f'c2s = ["127.0.0.1:{plain}"]\nc2s_tls = ["127.0.0.1:{secure}"]\nwebsocket = []\nweb = []\n'
        )
        url = resolve("embedded", Path(folder))
        redis_socket = url.removeprefix("unix://")
        redis = start(["redis", "--config", str(config)], lambda: Path(redis_socket).exists())
        gateway = start(["gateway", "--config", str(config)], lambda: answers(plain))
        try:
            journal = Journal(url)
            journal.start()
            fields = derive("secret", salt=os.urandom(16), iterations=4096).to_fields()
            for number in range(users):
                Accounts(journal).create(f"u{number}@localhost", fields)
            journal.stop()
            valkey = next(iter(psutil.Process(redis.pid).children()), psutil.Process(redis.pid))
            yield Server(
                Address("127.0.0.1", plain, tls="none"),
                Address("127.0.0.1", secure, tls="direct"),
                psutil.Process(gateway.pid),
                valkey,
                config,
            )
        finally:
            for process in (gateway, redis):
                process.terminate()
                process.wait(20)
