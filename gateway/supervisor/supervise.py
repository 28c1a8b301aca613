"""Keeps processes running: groups start one after the other, a child that dies is restarted, all stop together."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from typing import Final

import gevent
from gevent.event import Event
from gevent.lock import RLock

from gateway.errors import WakegateError
from gateway.supervisor.backoff import Backoff
from gateway.supervisor.child import Child, ProcessSpec
from gateway.supervisor.printer import Printer
from gateway.telemetry import get_logger

log = get_logger(__name__)

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 15.0
DEATH_HOOK_TIMEOUT_S: Final = 5.0


class StartFailedError(WakegateError):
    """A process did not come up at the first start."""

    alert = True
    metric = "start_failed"


class Supervisor:
    """Owns the children of one `wakegate up`."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self._groups: list[list[Child]] = []
        self._keepers: list[gevent.Greenlet] = []
        self._stop_wanted = Event()
        self._starting = RLock()
        """Held over each restart, so that no process is born behind the back of `stop`."""

    @property
    def children(self) -> list[Child]:
        """All of them, in the order of their start."""
        return [child for group in self._groups for child in group]

    def is_stopping(self) -> bool:
        """Somebody asked for the end."""
        return bool(self._stop_wanted.is_set())

    def start_group(self, specs: Sequence[ProcessSpec], timeout_s: float = START_TIMEOUT_S) -> None:
        """Start processes together and wait until all of them serve.

        Returns early when somebody asked for the end. Raises StartFailedError if one ends, or is not ready in
        time: what fails at its first start would fail again.
        """
        group = [Child(spec, self.printer) for spec in specs]
        self._groups.append(group)
        deadline = time.monotonic() + timeout_s
        for child in group:
            child.start()
        for child in group:
            gevent.wait([child.settled, self._stop_wanted], timeout=max(0.0, deadline - time.monotonic()), count=1)
            if self.is_stopping():
                return
            if not child.is_ready:
                # Its end of the pipe closes a moment before its status can be read.
                child.wait(1.0 if child.settled.is_set() else 0.0)
                raise StartFailedError(_why(child, timeout_s))
        self._keepers.extend(gevent.spawn(self._keep, child) for child in group)

    def request_stop(self) -> None:
        """Ask for the end; asked twice, kill everything. May be called by a signal's handler."""
        if self.is_stopping():
            for child in self.children:
                child.send_signal(signal.SIGKILL)
        self._stop_wanted.set()

    def wait(self) -> None:
        """Wait until somebody asks for the end."""
        self._stop_wanted.wait()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End all children, the group that started last first: asked by SIGTERM, made to by SIGKILL."""
        self._stop_wanted.set()
        with self._starting:
            pass
        for group in reversed(self._groups):
            deadline = time.monotonic() + timeout_s
            for child in group:
                child.send_signal(signal.SIGTERM)
            for child in group:
                if not child.wait(max(0.0, deadline - time.monotonic())):
                    self.printer.line("wakegate", f"{child.spec.name} does not stop within {timeout_s:g} s: killed")
                    child.send_signal(signal.SIGKILL)
                    child.wait(timeout_s)
        gevent.joinall(self._keepers, timeout=timeout_s)

    def _keep(self, child: Child) -> None:
        """Restart one child whenever it dies."""
        backoff = Backoff()
        while True:
            child.wait()
            if self.is_stopping():
                return
            delay = backoff.died(child.served_s)
            self.printer.line(
                "wakegate", f"{child.spec.name} {_ended(child)}, restarted{f' in {delay:g} s' if delay else ''}"
            )
            gevent.spawn(self._tell_death, child, dict(child.added))
            if delay:
                self._stop_wanted.wait(delay)
            with self._starting:
                if self.is_stopping():
                    return
                child.restarts += 1
                child.start()

    def _tell_death(self, child: Child, added: dict[str, str]) -> None:
        if child.spec.on_death is None:
            return
        try:
            with gevent.Timeout(DEATH_HOOK_TIMEOUT_S):
                child.spec.on_death(added)
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001 - top of a greenlet; restarting must go on
            # Not fatal: what the hook would have hastened happens when the node's lease lapses.
            log.warning("death_hook_failed", process=child.spec.name, error=error)


def _why(child: Child, timeout_s: float) -> str:
    if child.pid:
        return f"{child.spec.name} is not ready after {timeout_s:g} s"
    return f"{child.spec.name} {_ended(child)} before it was ready; its own lines say why"


def _ended(child: Child) -> str:
    status = child.status or 0
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
