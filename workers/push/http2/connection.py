"""One HTTP/2 connection over a gevent socket: a reader, a writer and a watcher greenlet around `ClientProtocol`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import gevent
from gevent.event import Event

from gateway.telemetry import get_logger
from workers.push.http2.exchange import Exchange
from workers.push.http2.protocol import ClientProtocol, ConnectionBroken
from workers.push.http2.tls import TlsSocket

log = get_logger(__name__)

GATHER_FROM: Final = 20
GATHER_S: Final = 0.01
"""While so many requests are in flight, answers are gathered for so long and read together: to be woken for each costs
more than to understand it.
"""


class Owner(Protocol):
    """The pool, as a connection sees it."""

    def on_progress(self, connection: Connection) -> None:
        """Answers came, or streams became free."""

    def on_replay(self, exchange: Exchange) -> None:
        """This was not processed and has to be sent again."""

    def on_lost(self, connection: Connection, left: list[Exchange], reason: str) -> None:
        """The connection is gone; `left` was in flight, nobody knows how far."""


@dataclass(frozen=True)
class ConnectionRules:
    """`ping_after_s` of silence a PING is sent; without an answer within `ping_timeout_s` the connection is dead."""

    most_streams: int = 100
    """jh2 looks at every open stream when it opens one: beyond this, another connection costs less CPU."""

    ping_after_s: float = 300.0
    """Apple asks for a PING after an idle hour; address translators on the way forget connections after minutes."""

    doubt_after_s: float = 60.0
    """A request after so much silence is accompanied by a PING: if the connection is dead, that is found out before the
    request's deadline.
    """

    ping_timeout_s: float = 5.0


class Connection:
    """Made with a connected socket; ends once, by `close`, by the peer, or by silence. All greenlets are its own."""

    def __init__(self, sock: TlsSocket, *, rules: ConnectionRules, owner: Owner) -> None:
        self._sock = sock
        self._rules = rules
        self._owner = owner
        self._protocol = ClientProtocol(most_streams=rules.most_streams, replay=owner.on_replay)
        self._wake_writer = Event()
        self._wake_watcher = Event()
        self._heard = Event()
        self._heard_at = self._asked_at = time.monotonic()
        self.used_at = self._heard_at
        self._is_retired = False
        self._is_over = False
        self._ping_ids = itertools.count(1)
        self._reader = self._spawn(self._read)
        self._writer = self._spawn(self._write)
        self._watcher = self._spawn(self._watch)
        self._wake_writer.set()

    @property
    def free_streams(self) -> int:
        """How many more exchanges it takes now."""
        return 0 if self._is_over or self._is_retired else self._protocol.free_streams

    @property
    def in_flight(self) -> int:
        """Exchanges that wait for their answer."""
        return self._protocol.in_flight

    @property
    def answered(self) -> int:
        """Exchanges that came to their end here."""
        return self._protocol.answered

    @property
    def is_over(self) -> bool:
        """Nothing will come of it any more."""
        return self._is_over

    @property
    def takes_no_more(self) -> bool:
        """It ends when what is in flight has its answers."""
        return self._is_over or self._is_retired or self._protocol.is_draining

    def start(self, exchange: Exchange) -> None:
        """Send a request; only if `free_streams` is above 0. If the connection fails at it, the owner gets it back."""
        try:
            self._protocol.start(exchange)
        except ConnectionBroken as error:
            self._owner.on_replay(exchange)
            self._end(str(error))
            return
        self._wake_writer.set()
        self.used_at = now = time.monotonic()
        if now - max(self._heard_at, self._asked_at) > self._rules.doubt_after_s:
            self._asked_at = now
            self._wake_watcher.set()

    def cancel(self, exchange: Exchange) -> bool:
        """Nobody waits for this any more; answers whether it was in flight here. A peer that has been silent since is
        asked whether it lives.
        """
        if not self._protocol.cancel(exchange):
            return False
        self._wake_writer.set()
        self._wake_watcher.set()
        self._finish_if_drained()
        return True

    def retire(self) -> None:
        """Take no more, finish what is in flight, then close."""
        self._is_retired = True
        self._finish_if_drained()

    def close(self, reason: str) -> None:
        """End now. What is in flight goes back to the owner."""
        self._end(reason)

    def _spawn(self, work: Callable[[], None]) -> gevent.Greenlet:
        return gevent.spawn(self._guarded, work)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, ConnectionBroken) as error:
            self._end(f"{type(error).__name__}: {error}")
        except Exception as error:
            log.exception("http2_connection_failed")
            self._end(f"our fault: {type(error).__name__}")

    def _read(self) -> None:
        while not self._is_over:
            if self._protocol.in_flight >= GATHER_FROM:
                gevent.sleep(GATHER_S)
            data = self._sock.recv()
            if not data:
                raise ConnectionBroken(self._farewell())
            self._heard_at = time.monotonic()
            self._heard.set()
            self._protocol.receive(data)
            self._wake_writer.set()
            self._owner.on_progress(self)
            self._finish_if_drained()

    def _write(self) -> None:
        """The only greenlet that writes: two in one TLS socket break it, and a whole turn's requests go out in one
        piece.
        """
        while not self._is_over:
            self._wake_writer.wait()
            self._wake_writer.clear()
            data = self._protocol.to_send()
            if not data or self._is_over:
                continue
            try:
                self._sock.sendall(data)
            except OSError as error:
                self._let_reader_finish(f"{type(error).__name__}: {error}")

    def _let_reader_finish(self, reason: str) -> None:
        """The peer has closed, but its last answers, or its GOAWAY, may still lie unread here: pushing again what they
        are about would be a duplicate. So the reader ends the connection, when it comes to the end of what there is.
        """
        self._is_retired = True
        self._reader.join(self._rules.ping_timeout_s)
        self._end(reason)

    def _watch(self) -> None:
        while not self._is_over:
            is_asked = self._wake_watcher.wait(self._rules.ping_after_s)
            self._wake_watcher.clear()
            asked_at = time.monotonic()
            if self._is_over or (not is_asked and asked_at - self._heard_at < self._rules.ping_after_s):
                continue
            self._heard.clear()
            self._protocol.ping(next(self._ping_ids).to_bytes(8, "big"))
            self._wake_writer.set()
            if not self._heard.wait(self._rules.ping_timeout_s):
                raise ConnectionBroken(f"silent for {self._rules.ping_timeout_s:g} s after a PING")

    def _finish_if_drained(self) -> None:
        if self.takes_no_more and self._protocol.in_flight == 0:
            self._end(self._farewell())

    def _farewell(self) -> str:
        """Why the peer wants us to go; APNs says it in the debug data of GOAWAY."""
        goaway = self._protocol.goaway
        if goaway is None:
            return "retired" if self._is_retired else "closed by the peer"
        return f"GOAWAY code {goaway.error_code} {goaway.debug[:200].decode('utf-8', 'replace')}".rstrip()

    def _end(self, reason: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        left = self._protocol.abandon()
        for event in (self._wake_writer, self._wake_watcher, self._heard):
            event.set()
        # The reader may wait in recv: it ends by the closed socket. No TLS close_notify: it could block on a dead peer.
        self._sock.close()
        self._owner.on_lost(self, left, reason)
