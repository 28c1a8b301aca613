"""One child process: started, listened to, asked to end, made to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import gevent
import gevent.os
from gevent.event import Event

from gateway.process import dies_with_parent
from gateway.supervisor.printer import LineSplitter, Printer
from gateway.supervisor.readiness import READY_FD, READY_LINE

STOP_TIMEOUT_S: Final = 15.0


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class ProcessSpec:
    """What to run: `wakegate <command…>` under a name. `-P`: whatever lies in the working directory is not imported."""

    name: str
    command: tuple[str, ...]
    environ: Callable[[], Mapping[str, str]] = _nothing
    """Asked at each start for what is to be added to the environment, e.g. a node name of this start's own."""
    on_death: Callable[[Mapping[str, str]], None] | None = None
    """Called after each death that nobody asked for, with what `environ` gave at that start."""
    stop_s: float = STOP_TIMEOUT_S
    """How long it may take to end; then it is killed."""
    rolls: bool = True
    """A rolling restart restarts it. Not what all others need while they run."""
    overlaps: bool = False
    """Its successor may run beside it: a rolling restart ends it only when the successor serves."""
    reloads: bool = False
    """It follows its configuration on SIGHUP."""
    program: tuple[str, ...] = field(default=(sys.executable, "-P", "-m", "gateway"))


class Child:
    """A spec's current process."""

    def __init__(self, spec: ProcessSpec, printer: Printer) -> None:
        self.spec = spec
        self.added: Mapping[str, str] = {}
        self.restarts = 0
        self.is_retired = False
        """a successor has its place"""
        self._printer = printer
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._ready_at = self._ended_at = 0.0
        self._readers: list[gevent.Greenlet] = []
        self.settled = Event()
        """Set when the process is ready, or will not be because it died."""

    @property
    def pid(self) -> int:
        """The process id; 0 if it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    @property
    def is_ready(self) -> bool:
        """It said that it serves, and it runs."""
        return self._ready and self.pid != 0

    @property
    def status(self) -> int | None:
        """Exit status of a process that ended; negative: the signal that killed it."""
        return self._process.returncode if self._process is not None else None

    @property
    def served_s(self) -> float:
        """Seconds from when it said that it serves to now, or to its end; 0 if it did not."""
        return (self._ended_at or time.monotonic()) - self._ready_at if self._ready else 0.0

    def start(self) -> None:
        """Start the process. It leads its own session: a terminal's Ctrl-C is for the supervisor alone."""
        self.settled.clear()
        self._ready = False
        self._ended_at = 0.0
        self.added = dict(self.spec.environ())
        ready_read, ready_write = os.pipe()
        output_read, output_write = os.pipe()
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **self.added, READY_FD: str(ready_write)}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [*self.spec.program, *self.spec.command],
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                env=environ,
                pass_fds=(ready_write,),
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )
        except BaseException:
            os.close(ready_read)
            os.close(output_read)
            raise
        finally:
            os.close(ready_write)
            os.close(output_write)
        self._readers = [gevent.spawn(self._await_ready, ready_read), gevent.spawn(self._print_output, output_read)]

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end, and for the last line of its output; False after `timeout_s`."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._ended_at = self._ended_at or time.monotonic()
        # A grandchild may have inherited the output and live on: that is no reason to wait for it.
        gevent.joinall(self._readers, timeout=1.0)
        gevent.killall(self._readers)
        return True

    def send_signal(self, number: int) -> None:
        """Send a signal if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _await_ready(self, descriptor: int) -> None:
        try:
            self._ready = _read(descriptor, len(READY_LINE)) == READY_LINE
            self._ready_at = time.monotonic()
        finally:
            self.settled.set()
            os.close(descriptor)

    def _print_output(self, descriptor: int) -> None:
        lines = LineSplitter()
        try:
            while data := _read(descriptor, 65536):
                for line in lines.feed(data):
                    self._printer.line(self.spec.name, line)
            for line in lines.end():
                self._printer.line(self.spec.name, line)
        finally:
            os.close(descriptor)


def _read(descriptor: int, size: int) -> bytes:
    gevent.os.make_nonblocking(descriptor)
    data: bytes = gevent.os.nb_read(descriptor, size)
    return data
