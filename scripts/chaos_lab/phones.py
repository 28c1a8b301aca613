"""Between the sandbox and the devices that sleep: a push that reaches a device wakes it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import gevent

from scripts.chaos_lab.habits import Life
from scripts.chaos_lab.history import History, Pushed

WAIT_S = 5.0


class Phones:
    """Watches a sandbox for deliveries from start() on; `note_pushes` at the end tells the history of all pushes."""

    def __init__(self, control: str, lives: Mapping[str, Life], history: History) -> None:
        self._control = control
        self._lives = lives
        self._history = history
        self._watcher: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._watcher = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Watch no more."""
        if self._watcher is not None:
            self._watcher.kill()

    def note_pushes(self) -> int:
        """Every push that a provider accepted; their number."""
        since, count = 0, 0
        while found := self._ask("/pushes", since=since, limit=1000)["pushes"]:
            for push in found:
                since = int(push["seq"])
                life = self._lives.get(push["token"])
                if push["accepted"] and life is not None:
                    count += 1
                    at = round(push["received_at"] / 1000 - self._history.started, 3)
                    self._history.note(Pushed(at, life.device.number, push["push_id"]))
        return count

    def _watch(self) -> None:
        since = 0
        while True:
            try:
                for line in self._ask("/deliveries", since=since, wait=WAIT_S, event="delivered")["deliveries"]:
                    since = int(line["seq"])
                    life = self._lives.get(line["token"])
                    if life is not None:
                        life.pushed.set()
            except (OSError, http.client.HTTPException):
                gevent.sleep(0.5)

    def _ask(self, path: str, **query: Any) -> Any:
        connection = http.client.HTTPConnection(self._control, timeout=30)
        try:
            connection.request("GET", f"{path}?{urlencode(query)}")
            return json.loads(connection.getresponse().read())
        finally:
            with suppress(OSError):
                connection.close()
