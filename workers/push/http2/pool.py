"""Connections to one origin under one credential: a bounded queue, replay, growth, and connects that are few."""

from __future__ import annotations

import random
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import gevent

from gateway.telemetry import get_logger
from workers.push.backoff import jittered
from workers.push.http2.connection import Connection, ConnectionRules
from workers.push.http2.exchange import Exchange, Headers
from workers.push.http2.origin import LacksHttp2, Origin
from workers.push.reply import Processed, Result, Unanswered

log = get_logger(__name__)

MOST_DOUBTFUL: Final = 2
"""A request whose connection died without a word is sent once more on another one, then the caller decides."""

MOST_TRIES: Final = 20
"""A peer that refuses the same request this often will do so for ever."""

REFUSED_FIRST_S: Final = 0.02
REFUSED_MOST_S: Final = 1.0
"""A refused stream is tried again after a random part of this, doubling: at once would be a busy loop."""

TRIM_EVERY_S: Final = 60.0


@dataclass(frozen=True)
class PoolRules:
    """`queue` bounds what waits for a stream, `connections` how many there may be. A further connection is opened when
    the oldest has waited `grow_after_s`, and let go when it was not needed for `shrink_after_s`.

    Apple takes many connects for an attack. So one is made at a time; `connect_burst` may follow each other, then one
    every `connect_every_s`; and after one that failed, or ended before it had answered anything, the next waits, at
    random, up to `reconnect_first_s`, doubling to `reconnect_most_s`.
    """

    queue: int = 2000
    connections: int = 4
    grow_after_s: float = 0.1
    shrink_after_s: float = 3600.0
    connect_timeout_s: float = 10.0
    connect_burst: int = 30
    connect_every_s: float = 1.0
    reconnect_first_s: float = 0.5
    reconnect_most_s: float = 10.0
    connection: ConnectionRules = field(default_factory=ConnectionRules)


@dataclass
class PoolCounts:
    """What happened since the start."""

    connected: int = 0
    failed_connects: int = 0
    replayed: int = 0
    timed_out: int = 0


class Pool:
    """`request` blocks the calling greenlet; everything else happens in the greenlets of the connections."""

    def __init__(self, origin: Origin, *, rules: PoolRules) -> None:
        self.origin = origin
        self.counts = PoolCounts()
        self.lacks_http2 = False
        self._rules = rules
        self._tls: ssl.SSLContext | None = None
        self._connections: list[Connection] = []
        self._waiting: deque[Exchange] = deque()
        self._connecting: gevent.Greenlet | None = None
        self._growing: gevent.Greenlet | None = None
        self._failed_connects = 0
        self._failed_at = 0.0
        self._budget = float(rules.connect_burst)
        self._budget_at = self._trimmed_at = time.monotonic()
        self._last_fault = ""
        self._is_closed = False

    @property
    def connections(self) -> int:
        """Connections that are up, those that drain included."""
        return len(self._connections)

    @property
    def waiting(self) -> int:
        """Requests that wait for a stream."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return sum(connection.in_flight for connection in self._connections)

    def request(self, headers: Headers, body: bytes, *, timeout_s: float) -> Result:
        """Send a request and wait for its answer, `timeout_s` at most, queueing, connecting and replays included."""
        if self._is_closed:
            return Unanswered("the pool is closed", Processed.NO)
        if len(self._waiting) >= self._rules.queue:
            return Unanswered(f"{self._rules.queue} requests are waiting already", Processed.NO)
        exchange = Exchange(headers, body, queued_at=time.monotonic())
        self._waiting.append(exchange)
        self._pump()
        result: Result | None = None
        with gevent.Timeout(timeout_s, False):
            result = exchange.result.get()
        return result if result is not None else self._give_up(exchange, timeout_s)

    def connect(self, timeout_s: float) -> str:
        """Have a connection. Answers "" or, in one line, why there is none."""
        deadline = time.monotonic() + timeout_s
        self._last_fault = ""
        self._ensure_connecting()
        while not self._connections and time.monotonic() < deadline and not self._last_fault:
            attempt = self._connecting
            if attempt is None:
                break
            attempt.join(min(0.05, timeout_s))
        if self._connections:
            return ""
        return self._last_fault or f"no connection within {timeout_s:g} s"

    def recycle(self) -> None:
        """Use new connections from now on; the present ones finish what they have."""
        for connection in list(self._connections):
            connection.retire()
        self._pump()

    def close(self) -> None:
        """End. What still waits is answered as not sent."""
        self._is_closed = True
        for greenlet in (self._connecting, self._growing):
            if greenlet is not None:
                greenlet.kill(block=False)
        for connection in list(self._connections):
            connection.close("the pool is closed")
        self._answer_waiting("the pool is closed")

    # What connections tell (the Owner protocol).

    def on_progress(self, connection: Connection) -> None:
        """Streams may have become free."""
        if self._failed_connects and connection.answered:
            self._failed_connects = 0
        if self._waiting and connection.free_streams:
            self._pump()

    def on_replay(self, exchange: Exchange) -> None:
        """Not processed: to the front of the queue, it has waited longest. A refused one only after a while."""
        if exchange.is_settled:
            return
        if exchange.tries >= MOST_TRIES or self._is_closed:
            exchange.settle(Unanswered(f"refused {exchange.tries} times", Processed.NO))
            return
        self.counts.replayed += 1
        if exchange.refusals:
            wait = jittered(exchange.refusals, first_s=REFUSED_FIRST_S, most_s=REFUSED_MOST_S, uniform=random.uniform)
            gevent.spawn_later(wait, self._again, exchange)
        else:
            self._waiting.appendleft(exchange)
            gevent.spawn(self._pump)

    def on_lost(self, connection: Connection, left: list[Exchange], reason: str) -> None:
        """Send what is left once more elsewhere, or say that nobody knows."""
        if connection in self._connections:
            self._connections.remove(connection)
        if not connection.answered:
            self._note_failure()
        log.info("http2_connection_ended", host=self.origin.host, reason=reason, in_flight=len(left))
        for exchange in reversed(left):
            if exchange.doubtful < MOST_DOUBTFUL and not self._is_closed:
                self.on_replay(exchange)
            else:
                exchange.settle(Unanswered(reason, Processed.MAYBE))
        gevent.spawn(self._pump)

    def _again(self, exchange: Exchange) -> None:
        if self._is_closed:
            exchange.settle(Unanswered("the pool is closed", Processed.NO))
        elif not exchange.is_settled:
            self._waiting.appendleft(exchange)
            self._pump()

    def _give_up(self, exchange: Exchange, timeout_s: float) -> Result:
        if not exchange.is_settled:
            self.counts.timed_out += 1
            if exchange in self._waiting:
                self._waiting.remove(exchange)
            was_sent = any(connection.cancel(exchange) for connection in list(self._connections))
            reason = f"no answer within {timeout_s:g} s"
            if was_sent or exchange.doubtful:
                exchange.settle(Unanswered(reason, Processed.MAYBE))
            else:
                fault = f": {self._last_fault}" if self._last_fault else ""
                exchange.settle(Unanswered(reason + fault, Processed.NO))
        result: Result = exchange.result.get()
        return result

    def _answer_waiting(self, reason: str) -> None:
        while self._waiting:
            self._waiting.popleft().settle(Unanswered(reason, Processed.NO))

    def _pump(self) -> None:
        """Give waiting requests to connections with free streams, the first ones first, so that it shows when the last
        ones are not needed; open more if needed.
        """
        waiting = self._waiting
        if self._is_closed or not waiting:
            return
        for connection in tuple(self._connections):
            free = connection.free_streams
            while free > 0 and waiting and not connection.is_over:
                free -= 1
                connection.start(waiting.popleft())
            if not waiting:
                break
        if time.monotonic() - self._trimmed_at >= min(TRIM_EVERY_S, self._rules.shrink_after_s):
            self._trim()
        if not waiting:
            return
        if all(connection.takes_no_more for connection in self._connections):
            self._ensure_connecting()
        elif self._growing is None and self._usable() < self._rules.connections:
            self._growing = gevent.spawn_later(self._rules.grow_after_s, self._grow)

    def _grow(self) -> None:
        self._growing = None
        waited_s = time.monotonic() - self._waiting[0].queued_at if self._waiting else 0.0
        if waited_s >= self._rules.grow_after_s and self._usable() < self._rules.connections:
            self._ensure_connecting()
        self._pump()

    def _trim(self) -> None:
        """Let go of the last connection that was not needed for long, one at a time."""
        self._trimmed_at = now = time.monotonic()
        usable = [connection for connection in self._connections if not connection.takes_no_more]
        if len(usable) > 1 and now - usable[-1].used_at >= self._rules.shrink_after_s:
            usable[-1].retire()

    def _usable(self) -> int:
        return sum(not connection.takes_no_more for connection in self._connections)

    def _ensure_connecting(self) -> None:
        """One attempt at a time."""
        if self._connecting is None and not self._is_closed and not self.lacks_http2:
            self._connecting = gevent.spawn(self._connect)

    def _connect(self) -> None:
        try:
            gevent.sleep(self._pause_s())
            self._budget -= 1.0
            self._tls = self._tls or self.origin.tls()
            sock = self.origin.connect(self._tls, self._rules.connect_timeout_s)
        except LacksHttp2 as error:
            self.lacks_http2 = True
            self._last_fault = str(error)
            self._answer_waiting(str(error))
        except OSError as error:
            self._note_failure()
            self.counts.failed_connects += 1
            self._last_fault = f"cannot connect to {self.origin.host}:{self.origin.port}: {error}"
            log.warning("http2_connect_failed", host=self.origin.host, port=self.origin.port, error=error)
        else:
            self._last_fault = ""
            self.counts.connected += 1
            self._connections.append(Connection(sock, rules=self._rules.connection, owner=self))
        finally:
            self._connecting = None
        self._pump()

    def _note_failure(self) -> None:
        self._failed_connects += 1
        self._failed_at = time.monotonic()

    def _pause_s(self) -> float:
        """How long the next connect has to wait: for the budget, and after failures."""
        now = time.monotonic()
        rules = self._rules
        self._budget = min(float(rules.connect_burst), self._budget + (now - self._budget_at) / rules.connect_every_s)
        self._budget_at = now
        pause = 0.0 if self._budget >= 1.0 else (1.0 - self._budget) * rules.connect_every_s
        if not self._failed_connects:
            return pause
        wait = jittered(
            self._failed_connects,
            first_s=rules.reconnect_first_s,
            most_s=rules.reconnect_most_s,
            uniform=random.uniform,
        )
        return max(pause, self._failed_at + wait - now)
