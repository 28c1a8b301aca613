"""Ends gateways that hang. A process that does not beat any more keeps its place among those that listen: every client
that the kernel gives to it waits in vain, until somebody kills it.
"""

from __future__ import annotations

import signal
import time
from typing import Final

import gevent

from gateway.cli.store import connect
from gateway.errors import WakegateError
from gateway.mailbox import nodes
from gateway.mailbox.node_settings import NodesSettings
from gateway.settings import Settings
from gateway.supervisor.child import Child
from gateway.supervisor.supervise import Supervisor
from gateway.telemetry import get_logger

log = get_logger(__name__)

LEASES: Final = 3
"""after so many leases a gateway that does not beat is killed: its sessions are long taken from it by then"""


class Watchdog:
    """Looks at the heartbeats of a supervisor's gateways; `node_variable` is where each has its node's name."""

    def __init__(self, settings: Settings, supervisor: Supervisor, node_variable: str) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._node_variable = node_variable
        self._nodes = settings.of(NodesSettings)
        self._moved: dict[str, tuple[int, float]] = {}
        self._looked_at = 0.0
        self._runner: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._runner = gevent.spawn(self._run)

    def stop(self) -> None:
        """End."""
        if self._runner is not None:
            self._runner.kill(timeout=1)
            self._runner = None

    def look(self, now: float) -> None:
        """Kill what has not beaten for too long; `now` is a monotonic clock. Raises StoreError when Redis is away."""
        if now - self._looked_at > self._nodes.lease:  # we were held up, or Redis was: so were they
            self._moved.clear()
        self._looked_at = now
        beats = self._beats()
        gateways = {child.added[self._node_variable]: child for child in self._watched()}
        for node, child in gateways.items():
            count, since = self._moved.get(node, (-1, now))
            if beats.get(node, 0) != count:
                self._moved[node] = (beats.get(node, 0), now)
            elif now - since >= LEASES * self._nodes.lease:
                self._supervisor.printer.line("wakegate", f"{child.spec.name} hangs: killed")
                child.send_signal(signal.SIGKILL)
        self._moved = {node: self._moved[node] for node in gateways if node in self._moved}

    def _watched(self) -> list[Child]:
        return [child for child in self._supervisor.children if self._node_variable in child.added and child.is_ready]

    def _beats(self) -> dict[str, int]:
        with connect(self._settings) as journal:
            return nodes.heartbeats(journal)

    def _run(self) -> None:
        while True:
            gevent.sleep(self._nodes.lease / 2)
            try:
                self.look(time.monotonic())
            except WakegateError as error:
                log.debug("heartbeats_not_seen", error=str(error))
            except Exception:  # the top of a greenlet: the next look comes
                log.exception("watchdog_failed")
