"""One master of a cluster and the one connection to it: sends the next groups of the lanes it serves, in batches.

While a batch is on its way, what comes meanwhile waits and makes the next one, as with a single Redis.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

import gevent
import hiredis
from gevent.event import Event

from gateway.mailbox import keys, library
from gateway.mailbox.cluster.lanes import Group, Lane, Setback, Settled, State, settle
from gateway.mailbox.dial import Address, ask, dial
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.fence import Fence
from gateway.mailbox.journal import LARGEST_GROUP, LARGEST_GROUP_BYTES, LONGEST_PAUSE_S
from gateway.settings import ConfigError
from gateway.telemetry import get_logger

log = get_logger(__name__)

CONNECT_S: Final = 2.0
"""how long a master may take to let us in: after that, another may have its slots"""

FIRST_PAUSE_S: Final = 0.02


class Keeper(Protocol):
    """Who has the lanes: the journal."""

    def settled(self, group: Group, outcome: Settled | Setback) -> None:
        """A group was answered."""

    def batch_done(self) -> None:
        """All of a batch was answered."""

    def prove(self, connection: socket.socket, shard: Shard) -> None:
        """Mark the lanes of the shard that it may be sent operations of. Raises OSError, StoreUnavailable."""

    def proven_bucket(self, shard: Shard) -> int | None:
        """One of those, if it is a bucket's."""

    def connected(self, shard: Shard) -> None:
        """There is a connection; nothing was read from it yet."""

    def lost(self, shard: Shard, why: Exception) -> None:
        """There is none, or none any more."""


class Shard:
    """The connection to the master at `address`, made again whenever it is lost, until `stop`.

    With a `fence` a batch is only answered when enough replicas have it, behind the prefix of a bucket of this
    master. Where they have it not in time, the connection is made anew and all of the batch sent again.
    """

    def __init__(
        self, address: Address, keeper: Keeper, *, timeout_s: float, fence: Callable[[], Fence] | None = None
    ) -> None:
        self.address = address
        self.is_up = False
        self.own = Lane(-1, shard=self)
        """for commands without a key"""
        self._keeper = keeper
        self._timeout_s = timeout_s
        self.connections = 0
        """how many there were so far"""
        self._ready: deque[Lane] = deque()
        self._parked: list[Lane] = []
        """lanes that have something to do and may not be sent yet"""
        self._batch: deque[Group] = deque()
        self._waits: list[tuple[Group, Settled | Setback]] = []
        self._own_fence = fence() if fence is not None else None
        self._fence: Fence | None = None
        """as long as it is in force"""
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
        lanes = [*self._ready, *self._parked]
        self._ready.clear()
        self._parked.clear()
        return lanes

    def offer(self, lane: Lane) -> None:
        """This lane has something to do, and was not listed before."""
        lane.state = State.READY
        self._ready.append(lane)
        if not self._is_busy:
            self._wake.set()

    def drop_foreign(self) -> list[Lane]:
        """Lanes that are listed here but are another's by now."""
        foreign = [lane for lane in (*self._ready, *self._parked) if lane.shard is not self]
        if foreign:
            self._ready = deque(lane for lane in self._ready if lane.shard is self)
            self._parked = [lane for lane in self._parked if lane.shard is self]
        return foreign

    def unpark(self) -> None:
        """More lanes may be sent than before."""
        self._ready.extend(self._parked)
        self._parked.clear()
        if not self._is_busy:
            self._wake.set()

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
            except Exception as fault:  # the top of a greenlet: whatever it was, the lanes go on
                log.exception("shard_failed", master=str(self.address))
                self.is_up = False
                self._give_back()
                self._keeper.lost(self, fault)
            finally:
                self.is_up = False
                if writer is not None:
                    writer.kill()
                if connection is not None:
                    connection.close()
            gevent.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _connect(self) -> socket.socket:
        """Connect; see to it that this master has the library, as one that was added may not, and what we told."""
        connection = dial(self.address, min(CONNECT_S, self._timeout_s))
        self.connections += 1
        try:
            library.ensure(partial(ask, connection))
            self._keeper.prove(connection, self)
            self._begin_fence(connection)
            self.unpark()
            connection.settimeout(self._timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin_fence(self, connection: socket.socket) -> None:
        """Behind a bucket that is served here; without one, nothing of what is here was ever told to a client."""
        self._fence = None
        at = self._keeper.proven_bucket(self)
        if self._own_fence is not None and at is not None:
            self._fence = self._own_fence
            self._fence.begin(connection, keys.bucket_prefix(at))

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
            if not data:
                continue
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
            if not lane.may_be_sent:
                self._parked.append(lane)
                continue
            group = lane.next_group(LARGEST_GROUP - weight, LARGEST_GROUP_BYTES - size)
            lane.state = State.SENT
            self._batch.append(group)
            parts.append(group.data)
            weight += group.weight
            size += len(parts[-1])
        if parts and self._fence is not None:
            parts.append(self._fence.command)
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
            self._take_of_fence(reply)
            return
        group = self._batch[0]
        group.replies.append(reply)
        group.missing -= 1
        if group.missing:
            return
        outcome = settle(group)
        self._batch.popleft()
        if self._fence is not None:
            self._waits.append((group, outcome))
            if not self._batch:
                self._fence.hold(None)
            return
        self._keeper.settled(group, outcome)
        if not self._batch:
            self._go_on()

    def _take_of_fence(self, reply: Any) -> None:
        if self._fence is None or not self._fence.is_due:
            raise StoreUnavailable(str(reply))  # as "max number of clients reached", which nobody asked
        if self._fence.take(reply):
            settled, self._waits = self._waits, []
            for group, outcome in settled:
                self._keeper.settled(group, outcome)
            self._go_on()

    def _go_on(self) -> None:
        self._keeper.batch_done()
        if self._ready:
            self._wake.set()
