"""Push workers as processes of their own, to be killed at any moment, and the phones they are to wake."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import gevent
import psutil
from gevent.pool import Pool

from gateway.mailbox.push_workers import PushWorkers
from gateway.process import dies_with_parent
from tests.push.sleeping import Phone, Town, wait_until
from workers.sandbox.material import KEY_ID, TEAM_ID, TOPIC
from workers.sandbox.server import Sandbox

REDIS_TIMEOUT_S = 3.0
"""with the request timeout and five seconds, how long until others take over what a killed worker had in hand"""


def configuration(directory: Path, redis_url: str, sandbox: Sandbox, *, request_timeout_s: float = 5.0) -> Path:
    """Two apps at the sandbox, times that fit a test, no more at a time than a sandbox on a busy machine answers."""
    found = sandbox.addresses
    file = directory / "wakegate.toml"
    file.write_text(f"""
[server]
domains = ["localhost"]
data_dir = "{directory}/data"

[redis]
url = "{redis_url}"
timeout_s = {REDIS_TIMEOUT_S}

[push]
floor = 0.0
request_timeout = {request_timeout_s}
in_flight = 100
retry_first = 0.5
retry_most = 4.0
drain = 5.0

[push.apps.chat]
provider = "apns"
topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "{found["apns_key_file"]}"
ca_file = "{found["ca_file"]}"
endpoint = "{found["apns_endpoint"]}"
sandbox_endpoint = "{found["apns_development_endpoint"]}"

[push.apps.droid]
provider = "fcm"
service_account_file = "{found["service_account_file"]}"
endpoint = "{found["fcm_endpoint"]}"
""")
    return file


class Workers:
    """`wakegate push`, several times. What is killed is replaced at once."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._running: list[subprocess.Popen[bytes]] = []
        self._logs: list[IO[bytes]] = []
        self._numbers = itertools.count(1)
        self.most_memory = 0
        self.ends: list[int] = []

    def start(self) -> None:
        """One more."""
        log = (self._config.parent / f"worker-{next(self._numbers)}.log").open("wb")
        self._logs.append(log)
        self._running.append(
            subprocess.Popen(
                [sys.executable, "-m", "gateway", "push", "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(),
            )
        )

    def kill_one(self, rng: random.Random) -> None:
        """The death of one: at once, or after a moment in which the provider answers and nobody hears it, or in good
        order (then its exit status is kept in `ends`).
        """
        victim = self._running.pop(rng.randrange(len(self._running)))
        self.start()
        how = rng.choice(("kill", "freeze", "terminate"))
        if how == "terminate":
            victim.terminate()
            self.ends.append(victim.wait(30))
            return
        if how == "freeze":
            victim.send_signal(signal.SIGSTOP)
            gevent.sleep(0.2)
        victim.kill()
        victim.wait(10)

    @property
    def pids(self) -> set[int]:
        """Of those that run."""
        return {process.pid for process in self._running}

    def freeze_one(self) -> subprocess.Popen[bytes]:
        """Stop the oldest where it stands. It is no more one of them; whoever asked for it kills it."""
        victim = self._running.pop(0)
        victim.send_signal(signal.SIGSTOP)
        return victim

    def measure(self) -> None:
        """Note how much memory the largest has."""
        for process in self._running:
            with suppress(psutil.NoSuchProcess):
                self.most_memory = max(self.most_memory, psutil.Process(process.pid).memory_info().rss)

    def stop(self) -> list[int]:
        """End all in good order; their exit statuses."""
        for process in self._running:
            process.terminate()
        statuses = [process.wait(30) for process in self._running]
        self._running = []
        return statuses

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self._running:
            process.kill()
            process.wait(10)
        for log in self._logs:
            log.close()

    def log(self) -> str:
        """What all of them wrote."""
        return "".join(path.read_text() for path in sorted(self._config.parent.glob("worker-*.log")))


@contextmanager
def running_workers(config: Path, count: int) -> Iterator[Workers]:
    """So many workers, killed at the end if they still run."""
    workers = Workers(config)
    try:
        for _ in range(count):
            workers.start()
        yield workers
    finally:
        workers.close()


def wait_at_work(town: Town, workers: Workers) -> None:
    """Wait until each of them has reported."""
    wait_until(lambda: workers.pids <= {int(name.split("-")[-2]) for name in PushWorkers(town.journal).all()}, 60)


@contextmanager
def bringing_back_what_is_due(town: Town, workers: Workers) -> Iterator[None]:
    """The sweeper's part, several times a second; and a look at the workers' memory."""

    def round_by_round() -> None:
        while True:
            for bucket in range(64):
                town.sweep.chores(bucket)
            workers.measure()
            gevent.sleep(0.2)

    greenlet = gevent.spawn(round_by_round)
    try:
        yield
    finally:
        greenlet.kill()


def lay_asleep(town: Town, tokens: list[str]) -> list[Phone]:
    """One account for each token, whose phone sleeps; those that are no 64 hex digits are Android's."""

    def lay(number: int) -> Phone:
        app = "chat" if len(tokens[number]) == 64 else "droid"
        return town.a_sleeping_phone(f"user{number}@localhost", token=tokens[number], app=app)

    return list(Pool(50).map(lay, range(len(tokens))))
