"""The lab's own supervisor: every process of the cluster by itself, started again when it ends, and easy to strike."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import gevent
from gevent.event import Event

from gateway.process import dies_with_parent
from scripts.chaos_lab.clocks import Clocks

LONGEST_ABSENCE_S = 1.5
"""a process that ended is missing for at most so long, beside the time of its start"""


@dataclass(frozen=True)
class Spec:
    """What to run: `wakegate <command…>`. `environ` is asked at each start for what is added to the environment."""

    name: str
    kind: str
    command: tuple[str, ...]
    environ: Callable[[], Mapping[str, str]] = field(default=dict)
    on_death: Callable[[Mapping[str, str]], None] | None = None


class Part:
    """One process that is to run all the time."""

    def __init__(self, spec: Spec, directory: Path, tree: Path, rng: random.Random, clocks: Clocks) -> None:
        self.spec = spec
        self._clocks = clocks
        self.deaths = 0
        self.is_paused = False
        self._directory = directory
        self._tree = tree
        self._rng = rng
        self._process: subprocess.Popen[bytes] | None = None
        self._environ: Mapping[str, str] = {}
        self._ready = Event()
        self._ready_at = 0.0
        self._stopping = False
        self._minder: gevent.Greenlet | None = None

    @property
    def pid(self) -> int:
        """Of the process, 0 while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def log_file(self) -> Path:
        """What all its processes wrote."""
        return self._directory / f"{self.spec.name}.log"

    def start(self) -> None:
        """Start it, and see to it that it runs until stop()."""
        self._launch()
        self._minder = gevent.spawn(self._mind)

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until it serves. Raises TimeoutError with the end of its log."""
        if not self._ready.wait(timeout_s):
            raise TimeoutError(f"{self.spec.name} does not serve after {timeout_s:g} s:\n{self.log()[-3000:]}")

    @property
    def is_ready(self) -> bool:
        """It said that it serves, and it runs."""
        return bool(self._ready.is_set()) and self.pid != 0

    @property
    def served_s(self) -> float:
        """For so long it has been serving; 0 if it does not."""
        return time.monotonic() - self._ready_at if self.is_ready else 0.0

    def log(self) -> str:
        """What all its processes wrote."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def strike(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.pid and self._process is not None:
            self._process.send_signal(number)

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long; its process may have died meanwhile."""
        process = self._process
        if process is None or self.is_paused:
            return
        self.is_paused = True
        try:
            process.send_signal(signal.SIGSTOP)
            gevent.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)
            self.is_paused = False

    def stop(self, timeout_s: float = 15.0) -> None:
        """End it, by force if it does not in time."""
        self._stopping = True
        if self._minder is not None:
            self._minder.kill()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout_s)

    def _launch(self) -> None:
        self._ready = Event()
        self._environ = dict(self.spec.environ())
        read_end, write_end = os.pipe()
        added = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(self._tree), "WAKEGATE_READY_FD": str(write_end)}
        clock = self._clocks.environ(self.spec.name) if self.spec.kind != "sandbox" else {}
        environ = {**os.environ, **added, **self._environ, **clock}
        try:
            with self.log_file.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "gateway", *self.spec.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environ,
                    pass_fds=(write_end,),
                    cwd=self._directory,
                    preexec_fn=dies_with_parent(signal.SIGKILL),
                )
        finally:
            os.close(write_end)
        gevent.spawn(self._await_ready, read_end, self._ready)

    def _mind(self) -> None:
        while not self._stopping:
            process = self._process
            if process is None:
                return
            process.wait()
            self.deaths += 1
            if self.spec.on_death is not None:
                self.spec.on_death(self._environ)
            gevent.sleep(self._rng.uniform(0.0, LONGEST_ABSENCE_S))
            with suppress(OSError):
                self._launch()

    def _await_ready(self, descriptor: int, ready: Event) -> None:
        gevent.os.make_nonblocking(descriptor)
        try:
            if gevent.os.nb_read(descriptor, 6):
                self._ready_at = time.monotonic()
                ready.set()
        finally:
            os.close(descriptor)


class Parts:
    """All processes of a cluster."""

    def __init__(self, directory: Path, tree: Path, rng: random.Random, clocks: Clocks) -> None:
        self.directory = directory
        self._clocks = clocks
        self.all: list[Part] = []
        self._tree = tree
        self._rng = rng

    def add(self, spec: Spec) -> Part:
        """One more; it is started."""
        part = Part(spec, self.directory, self._tree, random.Random(self._rng.random()), self._clocks)
        self.all.append(part)
        part.start()
        return part

    def of(self, *kinds: str) -> list[Part]:
        """Those of these kinds."""
        return [part for part in self.all if part.spec.kind in kinds]

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until all serve. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        for part in self.all:
            part.wait_ready(max(1.0, deadline - time.monotonic()))

    def stop(self) -> None:
        """End all of them, what was started last first."""
        for part in reversed(self.all):
            with suppress(subprocess.TimeoutExpired):
                part.stop()
        self.all = []

    def failures(self) -> list[str]:
        """Lines of their logs that no fault from outside explains: tracebacks, and what is logged as an error."""
        found = []
        for part in self.all:
            lines = part.log().splitlines()
            marks = [number for number, line in enumerate(lines) if _is_failure(line)]
            found += [f"{part.spec.name}: {line}" for line in _excerpts(lines, marks)]
        return found


def _is_failure(line: str) -> bool:
    return line.startswith("Traceback ") or '"level":"critical"' in line


def _excerpts(lines: list[str], marks: list[int]) -> list[str]:
    shown: list[str] = []
    for mark in marks[:5]:
        end = next((n for n in itertools.count(mark + 1) if n >= len(lines) or not lines[n].startswith(" ")), mark)
        shown.append("\n".join(lines[mark : end + 1]))
    return shown
