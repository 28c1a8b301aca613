"""The whole server as processes: Redis, gateways on one port, workers of all kinds, and a sandbox for the providers."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from gevent import socket

from gateway import configuration
from gateway.cli import demo_setup
from gateway.cli.store import connect
from gateway.demo.stream import Address
from gateway.errors import WakegateError
from gateway.mailbox import nodes
from gateway.settings import ConfigError
from scripts.chaos_lab import tree
from scripts.chaos_lab.clocks import Clocks
from scripts.chaos_lab.plan import Plan
from scripts.chaos_lab.processes import Parts, Spec
from scripts.chaos_lab.stores import Single, Store

DOMAIN = "localhost"
PASSWORD = "open sesame"
NODE_VARIABLE = "WAKEGATE__SERVER__NODE"
APPS = ("demo-ios", "demo-android")
HIBERNATION_S = 600

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "tls": {"required": False},
    "smacks": {"smacks_hibernation_time": HIBERNATION_S, "smacks_last_call": 0.0},
    "push": {"floor": 1.0, "offered_grace": 2.0, "retry_first": 0.5, "retry_most": 2.0, "request_timeout": 5.0},
    "archive": {"recent_messages": 200, "interval": 2.0},
    "offline": {"access_max_user_messages": 100_000},
    "limits": {"idle_timeout": 60.0},
    "log": {"level": "info"},
}
"""What differs from the defaults, so that in minutes happens what takes hours elsewhere."""


class Cluster:
    """Started by start(), and gone after stop()."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rng = random.Random(plan.seed)
        self.directory = plan.directory
        self.data_dir = plan.directory / "data"
        self.port, self.web_port = free_ports(2)
        plan.directory.mkdir(parents=True, exist_ok=True)
        self.clocks = Clocks(plan.directory / "clocks", may_jump=plan.clocks > 0)
        self.parts = Parts(plan.directory, tree.copy(plan.directory, plan.source, plan.bug), self._rng, self.clocks)
        self.store: Store = self._make_store()
        self._config: tuple[str, ...] = ()
        self._starts = itertools.count(1)
        self.control = ""

    @property
    def address(self) -> Address:
        """Where clients connect, past any proxy."""
        return Address("127.0.0.1", self.port, DOMAIN, "none")

    def start(self) -> None:
        """Start everything and wait until it serves. Raises TimeoutError."""
        config = self.directory / "wakegate.toml"
        self._config = ("--config", str(config))
        ports = dict(zip(("apns", "apns-development", "fcm", "control", "webpush"), free_ports(5), strict=True))
        options = [word for name, port in ports.items() for word in (f"--{name}", f"127.0.0.1:{port}")]
        sandbox = Spec("sandbox", "sandbox", ("sandbox", "--data-dir", str(self.data_dir), *options))
        self.parts.add(sandbox)
        config.write_text(_toml(self._sections()))
        self.store.start(self._config)
        config.write_text(_toml(self._sections()))
        self.parts.wait_ready()
        addresses = json.loads((self.data_dir / "sandbox" / "addresses.json").read_text())
        self.control = addresses["control"]
        self._config = (*self._config, "--config", str(demo_setup.write_overlay(self.data_dir)))
        for number in range(1, self._plan.gateways + 1):
            self.parts.add(self._gateway(number))
        counts = {"push": self._plan.push, "sweeper": self._plan.sweepers, "archiver": self._plan.archivers}
        for kind, count in counts.items():
            for number in range(1, count + 1):
                self.parts.add(Spec(f"{kind}.{number}", kind, (kind, *self._config)))
        self.parts.wait_ready()

    def stop(self) -> None:
        """End everything."""
        self.parts.stop()
        self.store.stop()

    def command(self, *words: str) -> str:
        """Run `wakegate <words>` and answer its output. Raises subprocess.CalledProcessError."""
        line = [sys.executable, "-m", "gateway", *words, *self._config]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=True).stdout

    def add_accounts(self, count: int) -> None:
        """Accounts user1 … userN."""
        file = self.directory / "accounts"
        file.write_text("".join(f"user{number}@{DOMAIN}:{PASSWORD}\n" for number in range(1, count + 1)))
        self.command("user", "import", str(file))

    def wait_healthy(self, timeout_s: float = 60.0) -> None:
        """Wait until all processes serve and clients are accepted. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while not (all(part.is_ready for part in self.parts.all) and self._accepts()):
            if time.monotonic() > deadline:
                down = [part.spec.name for part in self.parts.all if not part.is_ready]
                raise TimeoutError(f"not all processes serve after {timeout_s:g} s: {', '.join(down) or 'no clients'}")
            gevent.sleep(0.1)

    def _accepts(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
            return True
        return False

    def _make_store(self) -> Store:
        if self._plan.redis == "single":
            return Single(self.parts, self.data_dir, self._plan.appendfsync)
        from scripts.chaos_lab import many_stores  # what tests use is needed for these alone

        return many_stores.make(self._plan, self.clocks)

    def _sections(self) -> Mapping[str, Mapping[str, Any]]:
        fixed: dict[str, Mapping[str, Any]] = {
            "server": {"domains": [DOMAIN], "data_dir": str(self.data_dir)},
            "listen": {
                "c2s": [f"127.0.0.1:{self.port}"],
                "c2s_tls": [],
                "web": [f"127.0.0.1:{self.web_port}"],
            },
            "redis": self.store.settings(),
        }
        return {**SETTINGS, **fixed}

    def _gateway(self, number: int) -> Spec:
        """Each start has a node name of its own, as with `wakegate up`. Every second death is seen by somebody who
        tells the store of it; after the others the node's lease lapses.
        """

        def environ() -> Mapping[str, str]:
            return {NODE_VARIABLE: f"lab-{number}-{next(self._starts)}"}

        def died(environ: Mapping[str, str]) -> None:
            if self._rng.random() < 0.5:
                gevent.spawn(self._declare_dead, environ[NODE_VARIABLE])

        return Spec(f"gateway.{number}", "gateway", ("gateway", *self._config), environ=environ, on_death=died)

    def _declare_dead(self, node: str) -> None:
        files = [Path(word) for word in self._config if word != "--config"]
        with suppress(WakegateError, ConfigError, OSError), connect(configuration.read(files)) as journal:
            nodes.declare_dead(journal, node)


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


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """A JSON string, number, boolean or list of strings is one in TOML, too."""
    lines: list[str] = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
