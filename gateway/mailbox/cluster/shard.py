"""One master of a cluster and the one connection to it: sends the next groups of the lanes it serves, in batches.

While a batch is on its way, what comes meanwhile waits and makes the next one, as with a single Redis.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from functools import partial
from typing import Any, Final, Protocol

import gevent
import hiredis
from gevent.event import Event

from gateway.mailbox import library
from gateway.mailbox.cluster.lanes import Group, Lane, Setback, Settled, State, settle
from gateway.mailbox.dial import Address, ask, dial, packed
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.journal import LARGEST_GROUP, LARGEST_GROUP_BYTES, LONGEST_PAUSE_S
from gateway.settings import ConfigError

CONNECT_S: Final = 2.0
"""how long a master may take to let us in: after that, another may have its slots"""

FIRST_PAUSE_S: Final = 0.02


class Keeper(Protocol):
    """Who has the lanes: the journal."""

    def settled(self, group: Group, outcome: Settled | Setback) -> None:
        """A group was answered."""

    def batch_done(self) -> None:
        """All of a batch was answered."""

    def connected(self, shard: Shard) -> None:
        """There is a connection; nothing was read from it yet."""

    def lost(self, shard: Shard, why: Exception) -> None:
        """There is none, or none any more."""


class Shard:
    """The connection to the master at `address`, made again whenever it is lost, until `stop`.

    With `replicas` > 0 a batch is only answered when so many replicas have it; when they have it not within
    `replicas_s` seconds, the connection is made anew and all of the batch sent again.
    """

    def __init__(
        self, address: Address, keeper: Keeper, *, timeout_s: float, replicas: int = 0, replicas_s: float = 1.0
    ) -> None:
        self.address = address
        self.is_up = False
        self.own = Lane(-1, shard=self)
        """for commands without a key"""
        self._keeper = keeper
        self._timeout_s = timeout_s
        self._ready: deque[Lane] = deque()
        self._batch: deque[Group] = deque()
        self._waits: list[tuple[Group, Settled | Setback]] = []
        self._wait = packed(("WAIT", replicas, max(1, int(replicas_s * 1000)))) if replicas else b""
        self._replicas = replicas
        self._written_at = 0.0
        self._wake = Event()
        self._runner: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._runner = gevent.spawn(self._run)

    def stop(self) -> list[Lane]:
        """Close. Everything unanswered is back in its lane; returns the lanes that have something to do."""
        if self._runner is not None:
            self._runner.kill(timeout=1)
            self._runner = None
        self._give_back()
        lanes = list(self._ready)
        self._ready.clear()
        return lanes

    def offer(self, lane: Lane) -> None:
        """This lane has something to do, and was not listed before."""
        lane.state = State.READY
        self._ready.append(lane)
        if not self._is_busy:
            self._wake.set()

    def drop_foreign(self) -> list[Lane]:
        """Lanes that are listed here but are another's by now."""
        foreign = [lane for lane in self._ready if lane.shard is not self]
        if foreign:
            self._ready = deque(lane for lane in self._ready if lane.shard is self)
        return foreign

    @property
    def silent_s(self) -> float:
        """For how long a batch has been on its way; 0 if none is."""
        return time.monotonic() - self._written_at if self._is_busy else 0.0

    @property
    def _is_busy(self) -> bool:
        return bool(self._batch or self._waits)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            connection = None
            writer = None
            try:
                connection = self._connect()
                pause_s = FIRST_PAUSE_S
                self.is_up = True
                self._keeper.connected(self)
                self._wake.set()
                writer = gevent.spawn(self._write, connection)
                self._read(connection)
            except (OSError, StoreUnavailable, ConfigError, hiredis.HiredisError) as lost:
                self.is_up = False
                self._give_back()
                self._keeper.lost(self, lost)
            finally:
                self.is_up = False
                if writer is not None:
                    writer.kill()
                if connection is not None:
                    connection.close()
            gevent.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _connect(self) -> socket.socket:
        """Connect, and see to it that this master has the library: one that was promoted or added may not."""
        connection = dial(self.address, min(CONNECT_S, self._timeout_s))
        try:
            library.ensure(partial(ask, connection))
            connection.settimeout(self._timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self) -> None:
        """What was sent and has no answer comes first again, in its order: whether it was done is not known."""
        groups = [group for group, _ in self._waits] + list(self._batch)
        self._waits.clear()
        self._batch.clear()
        for group in reversed(groups):
            lane = group.lane
            lane.give_back(group.entries)
            lane.state = State.READY
            self._ready.appendleft(lane)

    def _write(self, connection: socket.socket) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._is_busy or not self._ready:
                continue
            data = self._next_batch()
            self._written_at = time.monotonic()
            try:
                connection.sendall(data)
            except OSError:
                connection.close()  # the reader notices
                return

    def _next_batch(self) -> bytes:
        """A group of each lane, in turn, as long as there is room: so one busy lane does not keep others waiting."""
        parts: list[bytes] = []
        weight = size = 0
        while self._ready and weight < LARGEST_GROUP and size < LARGEST_GROUP_BYTES:
            lane = self._ready.popleft()
            group = lane.next_group(LARGEST_GROUP - weight, LARGEST_GROUP_BYTES - size)
            lane.state = State.SENT
            self._batch.append(group)
            parts.append(group.data)
            weight += group.weight
            size += len(parts[-1])
        parts.append(self._wait)
        return b"".join(parts)

    def _read(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        while True:
            try:
                data = connection.recv(262144)
            except TimeoutError:
                if self.silent_s >= self._timeout_s:
                    raise
                continue  # nobody asked anything, or not long ago
            if not data:
                raise StoreUnavailable("Redis closed the connection")
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                self._take(reply)

    def _take(self, reply: Any) -> None:
        if not self._batch:
            self._take_wait(reply)
            return
        group = self._batch[0]
        group.replies.append(reply)
        group.missing -= 1
        if group.missing:
            return
        outcome = settle(group)
        self._batch.popleft()
        if self._wait:
            self._waits.append((group, outcome))
            return
        self._keeper.settled(group, outcome)
        if not self._batch:
            self._go_on()

    def _take_wait(self, reply: Any) -> None:
        """How many replicas have what this connection wrote."""
        if not self._waits or not isinstance(reply, int):
            raise StoreUnavailable(str(reply))  # as "max number of clients reached", which nobody asked
        if reply < self._replicas:
            raise StoreUnavailable(f"only {reply} of {self._replicas} replicas have taken it")
        settled, self._waits = self._waits, []
        for group, outcome in settled:
            self._keeper.settled(group, outcome)
        self._go_on()

    def _go_on(self) -> None:
        self._keeper.batch_done()
        if self._ready:
            self._wake.set()
