"""The Redis of a run: one server, Sentinel, or a cluster; what [redis] says about it, and how it is struck."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import gevent

from scripts.chaos_lab.processes import Parts, Spec


@dataclass(frozen=True)
class Blow:
    """Something that can be done to a Redis: `strike` does it, and returns when it is over."""

    name: str
    strike: Callable[[], None]
    is_kill: bool


class Store(Protocol):
    """What the cluster needs of its Redis."""

    def start(self, config: tuple[str, ...]) -> None:
        """Start it; `config`: what the product's own commands are given."""
        ...

    def settings(self) -> Mapping[str, object]:
        """The keys of [redis]."""
        ...

    def blows(self, rng: random.Random) -> list[Blow]:
        """What can be done to it now, each as likely as the others; nothing while it recovers from the last one."""
        ...

    def stop(self) -> None:
        """Leave nothing behind."""
        ...


class Single:
    """`wakegate redis`: one server, started again when it dies."""

    def __init__(self, parts: Parts, data_dir: Path, appendfsync: str) -> None:
        self._parts = parts
        self._pid_file = data_dir / "redis" / "valkey.pid"
        self._appendfsync = appendfsync

    def start(self, config: tuple[str, ...]) -> None:
        """See Store."""
        self._parts.add(Spec("redis", "redis", ("redis", *config))).wait_ready()

    def settings(self) -> Mapping[str, object]:
        """See Store."""
        return {"url": "embedded", "appendfsync": self._appendfsync}

    def blows(self, rng: random.Random) -> list[Blow]:
        """See Store."""
        seconds = rng.uniform(1.0, 4.0)
        return [
            Blow("kill", self._kill, is_kill=True),
            Blow("kill", self._kill, is_kill=True),
            Blow(f"pause {seconds:.1f} s", lambda: self._pause(seconds), is_kill=False),
        ]

    def stop(self) -> None:
        """It is one of the parts, which are stopped together."""

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _pause(self, seconds: float) -> None:
        self._signal(signal.SIGSTOP)
        try:
            gevent.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To the server itself, not to the command that runs it."""
        with suppress(OSError, ValueError):
            os.kill(int(self._pid_file.read_text()), number)
