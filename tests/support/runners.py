"""The test's side of a runner: starts it, sends commands, waits for events."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import gevent
from gevent.event import Event

from gateway.demo.stream import Address
from gateway.process import dies_with_parent
from tests.support.processes import PASSWORD, Account

Library = Literal["slixmpp", "aioxmpp", "slixmpp_component"]
_ROOT = Path(__file__).parents[2]


class Runner:
    """One client of a foreign library in a process of its own. `events` are all it told, oldest first."""

    def __init__(self, library: Library) -> None:
        self.events: list[dict[str, Any]] = []
        self._came = Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.support.{library}_runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_ROOT,
            preexec_fn=dies_with_parent(),
        )
        self._errors = bytearray()
        self._readers = [gevent.spawn(self._read_events), gevent.spawn(self._read_errors)]

    def login(self, account: Account, address: Address, resource: str = "phone") -> "Runner":
        """Logs in and waits until the client is available."""
        self.tell(
            "login",
            jid=f"{account.jid}/{resource}",
            password=PASSWORD,
            host=address.host,
            port=address.port,
            tls=address.tls,
            cafile=address.cafile,
        )
        self.wait("online")
        return self

    def tell(self, do: str, **fields: Any) -> None:
        """Gives a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        self._process.stdin.flush()

    def send(self, to: str, body: str, stanza_id: str) -> None:
        """Has the client send a chat message; returns when its library answers for it."""
        before = len(self.all("sent"))
        self.tell("send", to=to, body=body, id=stanza_id)
        self.wait("sent", before + 1)

    def wait(self, event: str, count: int = 1, timeout_s: float = 30.0) -> dict[str, Any]:
        """Waits until `event` came `count` times in all, and answers the last of them."""
        self.wait_until(lambda: len(self.all(event)) >= count, f"{event} no. {count}", timeout_s)
        return self.all(event)[count - 1]

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Waits until `condition` holds; it is looked at whenever an event came."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            self._came.clear()
            left = deadline - time.monotonic()
            if left < 0 or (self._process.poll() is not None and not self._came.wait(0.2)):
                errors = bytes(self._errors[-4000:]).decode(errors="replace")
                raise AssertionError(f"waited for {what}; came: {self.events[-12:]}; said: {errors}")
            self._came.wait(min(left, 1.0))

    def all(self, event: str) -> list[dict[str, Any]]:
        """All events of one name."""
        return [one for one in self.events if one["event"] == event]

    @property
    def bodies(self) -> list[str]:
        """The bodies of all messages received, in order."""
        return [one["body"] for one in self.all("message")]

    def stop(self) -> None:
        """Logs out and ends the process; by force if it does not within 5 s."""
        try:
            if self._process.poll() is None:
                self.tell("quit")
                self._process.wait(5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(5)
        gevent.joinall(self._readers, timeout=5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.events.append(json.loads(line))
            self._came.set()
        self._came.set()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._errors += line


@contextmanager
def runner(library: Library) -> Iterator[Runner]:
    """A runner for the length of a with block."""
    one = Runner(library)
    try:
        yield one
    finally:
        one.stop()
