"""Keeps processes running: groups start one after the other, a child that dies is restarted, all stop together."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import Final

import gevent
from gevent.event import Event
from gevent.lock import RLock

from gateway.errors import WakegateError
from gateway.supervisor.backoff import Backoff
from gateway.supervisor.child import STOP_TIMEOUT_S, Child, ProcessSpec
from gateway.supervisor.printer import Printer
from gateway.telemetry import get_logger

log = get_logger(__name__)

START_TIMEOUT_S: Final = 60.0
DEATH_HOOK_TIMEOUT_S: Final = 5.0


class StartFailedError(WakegateError):
    """A process did not come up at the first start."""

    alert = True
    metric = "start_failed"


class RestartFailedError(WakegateError):
    """A rolling restart stopped half way: what was not restarted yet goes on as it was."""

    alert = True
    metric = "restart_failed"


class Supervisor:
    """Owns the children of one `wakegate up`."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self._groups: list[list[Child]] = []
        self._keepers: list[gevent.Greenlet] = []
        self._stop_wanted = Event()
        self._starting = RLock()
        """Held over each restart, so that no process is born behind the back of `stop`."""
        self._rolling = False
        self._retiring: list[Child] = []

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
            if not self._serves(child, deadline):
                if self.is_stopping():
                    return
                raise StartFailedError(_why(child, timeout_s))
        self._keepers.extend(gevent.spawn(self._keep, child) for child in group)

    def _serves(self, child: Child, deadline: float) -> bool:
        """Wait until a child is ready; False if it ended, is too late, or somebody asked for the end."""
        gevent.wait([child.settled, self._stop_wanted], timeout=max(0.0, deadline - time.monotonic()), count=1)
        if not child.is_ready and not self.is_stopping():
            # Its end of the pipe closes a moment before its status can be read.
            child.wait(1.0 if child.settled.is_set() else 0.0)
        return child.is_ready and not self.is_stopping()

    def reload(self) -> None:
        """Have those follow their configuration that can. May be called by a signal's handler."""
        for child in self.children:
            if child.spec.reloads and child.is_ready:
                child.send_signal(signal.SIGHUP)

    def restart(self, say: Callable[[str], None], timeout_s: float = START_TIMEOUT_S) -> None:
        """Restart one process after the other, each when the one before it serves. `say` gets a line for each.

        Raises RestartFailedError when one does not come up: those that come after it go on as they are, and so does its
        predecessor if both may run side by side.
        """
        if self._rolling:
            raise RestartFailedError("a restart is under way already")
        self._rolling = True
        try:
            for child in [child for child in self.children if child.spec.rolls]:
                if self.is_stopping():
                    raise RestartFailedError("everything is about to stop")
                self._succeed(child, timeout_s)
                say(f"{child.spec.name} restarted")
        finally:
            self._rolling = False

    def _succeed(self, old: Child, timeout_s: float) -> None:
        new = Child(old.spec, self.printer)
        new.restarts = old.restarts
        if not old.spec.overlaps:
            self._retire(old)
        with self._starting:
            if self.is_stopping():
                return
            new.start()
            self._retiring.append(new)  # it has no place yet, but has to end when all end
        serves = self._serves(new, time.monotonic() + timeout_s)
        why = "" if serves else "everything is about to stop" if self.is_stopping() else _why(new, timeout_s)
        if serves or not old.spec.overlaps:  # else there would be none at all: it is started again and again
            self._take_place(old, new)
        if old.spec.overlaps:
            self._retire(old if serves else new)
        if why:
            raise RestartFailedError(why)

    def _take_place(self, old: Child, new: Child) -> None:
        for group in self._groups:
            if old in group:
                group[group.index(old)] = new
        self._retiring.remove(new)
        self._keepers.append(gevent.spawn(self._keep, new))

    def _retire(self, child: Child) -> None:
        """End a process for good."""
        child.is_retired = True
        if child not in self._retiring:
            self._retiring.append(child)
        child.send_signal(signal.SIGTERM)
        self._see_end(child, time.monotonic(), child.spec.stop_s)
        self._retiring.remove(child)
        if child.status:  # it did not leave in good order
            gevent.spawn(self._tell_death, child, dict(child.added))

    def _see_end(self, child: Child, since: float, timeout_s: float) -> None:
        if not child.wait(max(0.0, since + timeout_s - time.monotonic())):
            self.printer.line("wakegate", f"{child.spec.name} does not stop within {timeout_s:g} s: killed")
            child.send_signal(signal.SIGKILL)
            child.wait(timeout_s)

    def request_stop(self) -> None:
        """Ask for the end; asked twice, kill everything. May be called by a signal's handler."""
        if self.is_stopping():
            for child in self.children:
                child.send_signal(signal.SIGKILL)
        self._stop_wanted.set()

    def wait(self) -> None:
        """Wait until somebody asks for the end."""
        self._stop_wanted.wait()

    def stop(self, timeout_s: float | None = None) -> None:
        """End all children, the group that started last first: asked by SIGTERM, made to by SIGKILL after `timeout_s`,
        or as long as each may take.
        """
        self._stop_wanted.set()
        with self._starting:
            pass
        for group in ([*self._retiring], *reversed(self._groups)):
            began = time.monotonic()
            for child in group:
                child.send_signal(signal.SIGTERM)
            for child in group:
                self._see_end(child, began, child.spec.stop_s if timeout_s is None else timeout_s)
        gevent.joinall(self._keepers, timeout=STOP_TIMEOUT_S)

    def _keep(self, child: Child) -> None:
        """Restart one child whenever it dies."""
        backoff = Backoff()
        while True:
            child.wait()
            if self.is_stopping() or child.is_retired:
                return
            delay = backoff.died(child.served_s)
            self.printer.line(
                "wakegate", f"{child.spec.name} {_ended(child)}, restarted{f' in {delay:g} s' if delay else ''}"
            )
            gevent.spawn(self._tell_death, child, dict(child.added))
            if delay:
                self._stop_wanted.wait(delay)
            with self._starting:
                if self.is_stopping() or child.is_retired:
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
