"""The processes that a benchmark loads: started fresh, on ports nobody uses, and ended with it."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from gateway.demo.stream import Address
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.embedded import resolve
from gateway.mailbox.journal import Journal
from gateway.process import dies_with_parent
from gateway.supervisor.readiness import READY_FD, READY_LINE
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


START_S: Final = 20
"""a process that does not serve after so long has failed"""


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that writes to `log`; returns when it says that it serves."""
    reader, writer = os.pipe()
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, READY_FD: str(writer)},
                pass_fds=(writer,),
                preexec_fn=dies_with_parent(),
            )
        finally:
            os.close(writer)
    is_settled, _, _ = select.select([reader], [], [], START_S)
    is_ready = bool(is_settled) and os.read(reader, len(READY_LINE)) == READY_LINE  # else it has ended: nothing comes
    os.close(reader)
    if is_ready:
        return process
    process.kill()
    process.wait(START_S)
    raise SystemExit(f"wakegate {command[0]} did not start:\n{log.read_text(errors='replace')[-4000:]}")


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
        url, log = resolve("embedded", Path(folder)), Path(folder) / "log"
        redis = start(["redis", "--config", str(config)], log)
        gateway = start(["gateway", "--config", str(config)], log)
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
