"""Before a master is sent operations of a bucket: has it what clients were told? See `gateway.mailbox.timeline`.

Asked of each bucket on each new connection, and when a bucket comes to a master that is connected already: a failover
may have lost writes, and a slot that moved looks the same from here. A bucket that is being moved at this moment
answers nothing, so it is asked again later.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

import gevent
import hiredis

from gateway.mailbox import keys, timeline
from gateway.mailbox.cluster.lanes import Lane
from gateway.mailbox.cluster.shard import CONNECT_S, Shard
from gateway.mailbox.cluster.slots import slot_of
from gateway.mailbox.dial import Address, Part, ask_all, dial, replies_to
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.library import function
from gateway.settings import ConfigError
from gateway.telemetry import get_logger

log = get_logger(__name__)

_NOT_HERE_NOW: Final = ("ASK ", "MOVED ", "TRYAGAIN ")


class Prover:
    """Marks lanes of buckets as proven. `owner(slot)`: the master of a slot; `proof()`: what speaks for our clients."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        owner: Callable[[int], Address | None],
        proof: Callable[[], timeline.Proof | None],
        line: timeline.Line,
    ) -> None:
        self._lanes = lanes
        self._owner = owner
        self._proof = proof
        self._line = line
        self._nodes: list[str] | None = None
        self._proving: set[Shard] = set()

    def prove(self, connection: socket.socket, shard: Shard) -> None:
        """All buckets of a shard, on its new connection. Raises OSError, StoreUnavailable."""
        lanes = list(self._of(shard))
        for lane in lanes:
            lane.is_proven = False
        for lane in self._proven(connection, lanes):
            lane.is_proven = lane.shard is shard

    def proven_bucket(self, shard: Shard) -> int | None:
        """A bucket of the shard that it may be sent operations of; None if it has none."""
        return next((lane.bucket for lane in self._of(shard) if lane.is_proven), None)

    def prove_more(self, shards: Iterable[Shard]) -> None:
        """What came to masters that are connected already, or was being moved when they were. Never blocks."""
        unproven = {lane.shard for lane in self._lanes if not lane.is_proven}
        for shard in shards:
            if shard in unproven and shard.is_up and shard not in self._proving:
                self._proving.add(shard)
                gevent.spawn(self._prove_more, shard)

    def _prove_more(self, shard: Shard) -> None:
        connections = shard.connections
        try:
            lanes = [lane for lane in self._of(shard) if not lane.is_proven]
            with dial(shard.address, CONNECT_S) as connection:
                proven = self._proven(connection, lanes)
            for lane in proven:
                lane.is_proven = shard.is_up and shard.connections == connections and lane.shard is shard
            shard.unpark()
        except (OSError, StoreUnavailable, ConfigError) as error:
            log.warning("buckets_not_proven", master=str(shard.address), error=str(error))
        finally:
            self._proving.discard(shard)

    def _of(self, shard: Shard) -> Iterator[Lane]:
        return (lane for lane in self._lanes if lane.shard is shard)

    def _proven(self, connection: socket.socket, lanes: Sequence[Lane]) -> list[Lane]:
        """Those that are served by this server, when it has been looked at what it has of them."""
        served = [lane for lane, is_here in zip(lanes, _are_here(connection, lanes), strict=True) if is_here]
        if served:
            buckets = [lane.bucket for lane in served]
            timeline.look_back(partial(ask_all, connection), self._proof(), self._line, buckets, self._known_nodes())
        return served

    def _known_nodes(self) -> list[str]:
        """Gateways that may own sessions, as the master of their key says, or has said while it could be reached."""
        try:
            with dial(self._owner_of_nodes(), CONNECT_S) as connection:
                self._nodes = timeline.known_nodes(partial(ask_all, connection))
        except (OSError, StoreUnavailable):
            if self._nodes is None:
                raise
        return self._nodes

    def _owner_of_nodes(self) -> Address:
        owner = self._owner(slot_of(keys.NODES))
        if owner is None:
            raise StoreUnavailable("nobody serves the list of gateways")
        return owner


def _are_here(connection: socket.socket, lanes: Sequence[Lane]) -> list[bool]:
    commands: list[tuple[Part, ...]] = [("FCALL", function("run_id"), 1, keys.PREFIXES[lane.bucket]) for lane in lanes]
    found: list[bool] = []
    for reply in replies_to(connection, commands):
        is_error = isinstance(reply, hiredis.ReplyError)
        if is_error and not str(reply).startswith(_NOT_HERE_NOW):
            raise StoreUnavailable(str(reply))
        found.append(not is_error)
    return found
