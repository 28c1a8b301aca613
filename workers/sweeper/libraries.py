"""Lua libraries of builds that have gone: removed from Redis when nobody has used them for long.

Every build brings a library of its own (`gateway.mailbox.library`), so an upgrade leaves one behind. Gateways say which
one they use. Workers do not, and restart with them; one that is forgotten finds its functions gone, and loads them
again.
"""

from __future__ import annotations

import time
from typing import Final

import gevent

from gateway.mailbox import library
from gateway.mailbox.errors import StoreCorrupt, StoreError
from gateway.mailbox.journal import Journal
from gateway.mailbox.membership import members
from gateway.telemetry import get_logger

log = get_logger(__name__)

KEEP_S: Final = 3600.0
"""how long a library stays that no gateway uses: for workers that are still of the old build, and for going back"""

LOOK_S: Final = 60.0


class Libraries:
    """Looks every minute. Any number may do so side by side."""

    def __init__(self, journal: Journal, *, keep_s: float = KEEP_S) -> None:
        self._journal = journal
        self._keep_s = keep_s
        self._unused_since: dict[str, float] = {}
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
        """Remove what has been unused for long enough; `now` is a monotonic clock. Raises StoreError."""
        used = {member.library for member in members(self._journal).values()} | {library.name()}
        loaded = {
            one[1].decode() for one in self._journal.call("FUNCTION", "LIST", "LIBRARYNAME", library.PREFIX + "*")
        }
        self._unused_since = {name: self._unused_since.get(name, now) for name in loaded - used}
        for name, since in list(self._unused_since.items()):
            if now - since >= self._keep_s:
                self._remove(name)

    def _remove(self, name: str) -> None:
        try:
            self._journal.call("FUNCTION", "DELETE", name)
        except StoreCorrupt:  # another sweeper was first, or one server of a cluster had not got it
            log.debug("library_gone", library=name)
        else:
            log.info("library_removed", library=name)
        del self._unused_since[name]

    def _run(self) -> None:
        while True:
            try:
                if self._journal.is_up:
                    self.look(time.monotonic())
            except StoreError as error:
                log.warning("libraries_not_looked_at", error=str(error))
            except Exception:  # the top of a greenlet: the next look comes
                log.exception("libraries_not_looked_at")
            gevent.sleep(LOOK_S)
