"""A phone in a pocket: it sleeps until a push reaches it, then connects, resumes, fetches, and sleeps again.

What the provider accepted is not what wakes it: the sandbox decides whether a push reaches the device (online, Doze).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.etree.ElementTree import Element

import gevent
from gevent.lock import RLock

from gateway.demo.client import Client, ResumeFailed
from gateway.demo.requests import enable_push, ping
from gateway.errors import WakegateError
from gateway.xmpp import ns
from tests.support.processes import Account, NotInTime, Server
from tests.support.sandbox_control import SandboxControl

NSE_BUDGET_S = 30.0
"""How long iOS lets a Notification Service Extension run; an Android app gets about as much for a data message."""

POLL_S = 5.0
Platform = Literal["ios", "android"]
MESSAGE = f"{{{ns.CLIENT}}}message"


@dataclass(frozen=True)
class Wake:
    """One time that a push woke the phone. `fetched` are the bodies that were new ("" for a message without one)."""

    push_id: str
    took_s: float
    resumed: bool
    fetched: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """There was nothing to fetch: the push should have been cancelled."""
        return not self.fetched

    @property
    def is_late(self) -> bool:
        """The system would have ended the app before it was done."""
        return self.took_s > NSE_BUDGET_S


@dataclass
class Counts:
    """What a phone went through; `needless` pushes reached it while it was connected."""

    wakes: list[Wake] = field(default_factory=list)
    needless: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def empty(self) -> int:
        """Wakes for nothing."""
        return sum(wake.is_empty for wake in self.wakes)

    @property
    def late(self) -> int:
        """Wakes that took longer than the system allows."""
        return sum(wake.is_late for wake in self.wakes)


class SimulatedPhone:
    """One app on one device. `reaction_s` passes between a push and the connection, as with a mobile network.

    With `dozes` an Android phone is in Doze whenever it sleeps: messages of normal priority do not reach it.
    """

    def __init__(
        self, server: Server, account: Account, platform: Platform, *, reaction_s: float = 0.0, dozes: bool = False
    ) -> None:
        self.account = account
        self.token = secrets.token_hex(32)
        self.counts = Counts()
        self.client: Client = server.client(account, resource=f"{platform}-{self.token[:6]}")
        self._server = server
        self._platform = platform
        self._reaction_s = reaction_s
        self._dozes = dozes
        self._provider = "apns" if platform == "ios" else "fcm"
        self._control = SandboxControl.of(server)
        self._link = RLock()
        self._is_connected = False
        self._seen = 0
        self._fetched = 0
        self._greenlet: gevent.Greenlet | None = None

    def install(self) -> SimulatedPhone:
        """First start of the app: log in, register for pushes (XEP-0357), and watch for them from now on."""
        self.client.login()
        self._is_connected = True
        enable_push(self.client, node=f"node-{self.token[:6]}", app=f"demo-{self._platform}", token=self.token)
        self._control.device(self._provider, self.token)
        self._greenlet = gevent.spawn(self._watch)
        return self

    def sleep(self) -> None:
        """The system takes the network away; what was received is acknowledged first."""
        with self._link:
            if self._is_connected:
                self.client.send_ack()
                self._fetch()
                self.client.cut()
                self._is_connected = False
            if self._dozes:
                self._control.device(self._provider, self.token, dozing=True)

    def open(self) -> None:
        """The user takes the phone out of the pocket: it connects by itself and stays connected."""
        with self._link:
            if self._dozes:
                self._control.device(self._provider, self.token, dozing=False)
            if not self._is_connected:
                self._connect()
                self._fetch()

    def switch_off(self) -> None:
        """No network at all: the provider cannot reach it, either."""
        self.sleep()
        self._control.device(self._provider, self.token, online=False)

    def switch_on(self) -> None:
        """The provider can reach it again, and hands over what it kept."""
        self._control.device(self._provider, self.token, online=True)

    def stop(self) -> None:
        """Throw the phone away."""
        if self._greenlet is not None:
            self._greenlet.kill()
        self.client.cut()

    def wait(self, condition: Callable[[Counts], bool], what: str, timeout_s: float = 30.0) -> None:
        """Return as soon as `condition` holds of what it went through. Raises NotInTime."""
        deadline = time.monotonic() + timeout_s
        while not condition(self.counts):
            if time.monotonic() > deadline:
                raise NotInTime(f"{what}: {self.counts}\n{self._server.log()[-4000:]}")
            gevent.sleep(0.02)

    @property
    def bodies(self) -> list[str]:
        """The bodies of all messages that the app ever got, in order."""
        return [message.body for message in self.client.messages]

    def _watch(self) -> None:
        while True:
            lines = self._control.deliveries(self._seen, wait_s=POLL_S, token=self.token, event="delivered")
            for line in lines:
                self._seen = int(line["seq"])
                self._pushed(line)

    def _pushed(self, line: dict[str, Any]) -> None:
        started = time.monotonic()
        gevent.sleep(self._reaction_s)
        with self._link:
            if self._is_connected:
                self.counts.needless += 1
                return
            try:
                with gevent.Timeout(NSE_BUDGET_S, TimeoutError("the system ended the app")):
                    has_resumed = self._connect()
                    fetched = self._fetch()
                    self.sleep()
            except (WakegateError, OSError) as error:
                self.client.cut()
                self._is_connected = False
                self.counts.failed.append(f"{type(error).__name__}: {error}")
                return
            took_s = time.monotonic() - started
            self.counts.wakes.append(Wake(str(line["push_id"]), took_s, has_resumed, fetched))

    def _connect(self) -> bool:
        """Resume the session; log in anew if the server does not know it any more. True if it was resumed."""
        try:
            self.client.resume()
            self._is_connected = True
            return True
        except ResumeFailed:
            self.client.bind()
            self.client.enable()
            self.client.start()
            self.client.send("<presence/>")
            self._is_connected = True
            return False

    def _fetch(self) -> tuple[str, ...]:
        """Whatever waits comes before the answer to a ping (RFC 6120 section 10.1: in order)."""
        ping(self.client)
        fetched, self._fetched = self._fetched, len(self.client.received)
        return tuple(_body(stanza) for stanza in self.client.received[fetched:] if stanza.tag == MESSAGE)


def _body(stanza: Element) -> str:
    return stanza.findtext(f"{{{ns.CLIENT}}}body") or ""


@contextmanager
def simulated_phone(
    server: Server, account: Account, platform: Platform, *, reaction_s: float = 0.0, dozes: bool = False
) -> Iterator[SimulatedPhone]:
    """A phone that is installed and asleep."""
    phone = SimulatedPhone(server, account, platform, reaction_s=reaction_s, dozes=dozes)
    try:
        phone.install().sleep()
        yield phone
    finally:
        phone.stop()
