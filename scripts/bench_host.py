"""The processes that a benchmark loads: started fresh, on ports nobody uses, and ended with it."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from gevent.pool import Pool

from gateway.cli.up import NODE_VARIABLE
from gateway.demo.stream import Address
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.journal import Journal
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from gateway.process import dies_with_parent
from gateway.supervisor.readiness import READY_FD, READY_LINE
from gateway.xmpp.sasl import derive

START_S: Final = 60
"""a process that does not serve after so long has failed"""

STOP_S: Final = 60
"""a gateway with thousands of sessions puts them to sleep at its end"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_of(*processes: psutil.Process) -> float:
    """CPU seconds that they have used so far, in sum."""
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def ran_s(process: psutil.Process) -> float:
    """How long its main thread has run: finer than the clock ticks of CPU times. Linux only."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


@dataclass
class Server:
    """Gateways with their Redis, as processes. They listen on the same ports."""

    address: Address
    secure: Address
    gateways: tuple[psutil.Process, ...]
    stores: list[psutil.Process]
    config: Path
    others: Mapping[str, psutil.Process]
    """what else runs, by its command"""
    redis_url: str

    @property
    def gateway(self) -> psutil.Process:
        """The only one, or the first."""
        return self.gateways[0]

    @property
    def redis(self) -> psutil.Process:
        """The only one, or the first."""
        return self.stores[0]

    def cpu(self) -> tuple[float, float]:
        """CPU seconds used so far by the gateways and by Redis."""
        return cpu_of(*self.gateways), cpu_of(*self.stores)

    def journal(self) -> Journal:
        """A connection to its Redis, not started yet."""
        return open_journal(RedisSettings(url=self.redis_url), self.config.parent)


def start(command: list[str], log: Path, **environ: str) -> subprocess.Popen[bytes]:
    """Start a process that writes to `log`; returns when it says that it serves."""
    reader, writer = os.pipe()
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environ, READY_FD: str(writer)},
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
def running(command: list[str], log: Path, **environ: str) -> Iterator[psutil.Process]:
    """The same, for the length of a with block."""
    process = start(command, log, **environ)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)


@contextmanager
def server(
    users: int,
    *,
    gateways: int = 1,
    others: tuple[str, ...] = (),
    sections: str = "",
    redis_url: str = "embedded",
    stores: list[psutil.Process] | None = None,
) -> Iterator[Server]:
    """A fresh server with accounts u0, u1, … whose password is `secret`.

    `others`: commands that run beside the gateways, such as `sweeper`; `sections`: more of the configuration;
    `redis_url`, `stores`: a Redis that runs already, and its processes.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        plain, secure = free_port(), free_port()
        config, log = Path(folder) / "bench.toml", Path(folder) / "log"
        config.write_text(
            f'[server]\ndata_dir = "{folder}"\n[tls]\nrequired = false\n[log]\nlevel = "warning"\n[listen]\n'
            f'c2s = ["127.0.0.1:{plain}"]\nc2s_tls = ["127.0.0.1:{secure}"]\nwebsocket = []\nweb = []\n'
            f'[redis]\nurl = "{redis_url}"\n{sections}'
        )
        where = ["--config", str(config)]
        if not stores:
            redis = stack.enter_context(running(["redis", *where], log))
            stores = [next(iter(redis.children()), redis)]
        beside = {name: stack.enter_context(running([name, *where], log)) for name in others}
        nodes = [{NODE_VARIABLE: f"gateway-{number}"} for number in range(gateways)]
        here = tuple(stack.enter_context(running(["gateway", *where], log, **node)) for node in nodes)
        made = Server(
            Address("127.0.0.1", plain, tls="none"),
            Address("127.0.0.1", secure, tls="direct"),
            here,
            stores,
            config,
            beside,
            redis_url,
        )
        enrol(made, users)
        yield made


def enrol(host: Server, users: int) -> None:
    """Make the accounts. Passwords as real ones; but all with one salt, so that to make them costs no minutes."""
    fields = derive("secret", salt=os.urandom(16), iterations=4096).to_fields()
    journal = host.journal()
    journal.start()
    Pool(50).map(lambda number: Accounts(journal).create(f"u{number}@localhost", fields), range(users))
    journal.stop()
