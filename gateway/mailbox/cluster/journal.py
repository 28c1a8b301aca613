"""The journal of a Redis Cluster: the interface of `gateway.mailbox.journal.Journal`, with a connection to each master.

Order is kept within a slot, which is where a mailbox lives; operations in different slots do not wait for each other.
When a connection is lost, what was sent and not answered is sent again in order, perhaps to another master: operations
are idempotent. A slot that is being moved key by key is waited for: half of its bucket is here, half is there, and an
operation looks at keys that it does not name, so that no redirection (ASK) may be followed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final

import gevent
from gevent.event import Event

from gateway.mailbox import answers, keys, library, pressure
from gateway.mailbox.cluster.lanes import Group, Lane, Reason, Setback, Settled, State
from gateway.mailbox.cluster.proving import Prover
from gateway.mailbox.cluster.shard import Shard
from gateway.mailbox.cluster.slots import EVERYWHERE, key_of, slot_of
from gateway.mailbox.cluster.survey import Survey
from gateway.mailbox.dial import Address, Part, packed
from gateway.mailbox.errors import StoreError, StoreMisconfigured, StoreUnavailable
from gateway.mailbox.fence import Fence
from gateway.mailbox.journal import Callback, Journal, Reply, Waiting
from gateway.mailbox.redis_url import Servers
from gateway.settings import ConfigError
from gateway.telemetry import get_logger

log = get_logger(__name__)

LOOK_S: Final = 15.0
"""how often the nodes are asked who serves what while all is well"""

TROUBLE_LOOK_S: Final = 0.5
"""how often while it is not"""

SILENT_S: Final = 1.0
"""a batch that is on its way for so long is trouble: its master may be dead, and another one in its place"""

PARTIAL_S: Final = 20.0
"""a master that is away for so long is not waited for by those who wait for Redis as a whole: the others go on"""

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.3
"""between two attempts of a lane after setbacks"""


class ClusterJournal(Journal):
    """Journals to all masters of a cluster. `servers` names some of its nodes; the rest is as in `Journal`.

    `fence` makes a fence for a master: operations are only answered when replicas have them.
    """

    is_sharded = True

    def __init__(self, servers: Servers, *, timeout_s: float = 10.0, fence: Callable[[], Fence] | None = None) -> None:
        super().__init__(servers.addresses[0], timeout_s=timeout_s)
        self._survey = Survey(servers.addresses)
        self._new_shard = partial(Shard, timeout_s=timeout_s, fence=fence)
        self.followers: list[Callable[[], None]] = []
        """called whenever somebody else may serve a slot; they must not block"""
        self._shards: dict[Address, Shard] = {}
        self._lanes: dict[int, Lane] = {}
        self._nowhere = Lane(-1)
        """commands without a key from before any server was known"""
        self._by_prefix: dict[Part, Lane] = {}
        for bucket, prefix in enumerate(keys.PREFIXES):
            self._by_prefix[prefix] = self.lane(prefix)
            self._by_prefix[prefix].bucket = bucket
        self._prover = Prover(
            list(self._by_prefix.values()), owner=self.owner, proof=lambda: self.proof, line=self.line
        )
        self._held = 0
        self._partial_since = time.monotonic()
        self._doubt = Event()
        self._known = Event()

    # What Journal offers

    def start(self) -> None:
        """See Journal."""
        if self._runner is None:
            self._doubt.set()
            self._runner = gevent.spawn(self._watch)

    def stop(self, flush_s: float = 2.0) -> None:
        """See Journal."""
        self._idle.wait(min(flush_s, max(0.0, pressure.SILENT_S - self.pressure.silent_s)))
        if self._runner is not None:
            self._runner.kill(timeout=1)
            self._runner = None
        for shard in self._shards.values():
            shard.stop()
        for lane in self._all_lanes():
            while lane.queued:
                self._answer(lane.queued.popleft(), StoreUnavailable("the journal was closed"))
        self._shards.clear()
        self._up.clear()

    @property
    def waiting(self) -> int:
        """See Journal."""
        return self.pressure.waiting

    def silent_prefixes(self, for_s: float) -> Collection[str]:
        """See Journal."""
        return super().silent_prefixes(for_s) or {at for at in keys.PREFIXES if self._by_prefix[at].silent_s >= for_s}

    def is_silent_at(self, prefix: str) -> bool:
        """See Journal."""
        return super().is_silent_at(prefix) or self._by_prefix[prefix].silent_s > pressure.SILENT_S

    def submit(self, callback: Callback, *command: Part, weight: int = 1) -> None:
        """See Journal. PUBLISH becomes SPUBLISH; what concerns every server is answered when all have, lists as one."""
        lane = self._by_prefix.get(command[3]) if command[0] == "FCALL" else None
        if lane is None:
            if command[0] in EVERYWHERE:
                self._everywhere(callback, command)
                return
            if command[0] == "PUBLISH":
                command = ("SPUBLISH", *command[1:])
            lane = self._lane_of(command)
        self._queue(lane, (packed(command), callback, weight, library.grows(command)))

    def owner(self, slot: int, timeout_s: float = 0.0) -> Address | None:
        """The master of a slot; None if nobody serves it. Waits `timeout_s` for the cluster to be known at all."""
        self._known.wait(timeout_s)
        return self._survey.known.owner(slot) if self._survey.known else None

    def look_again(self) -> None:
        """Somebody found that a master is none, or does not answer."""
        self._doubt.set()

    def lane(self, key: Part) -> Lane:
        """The lane of a key's slot."""
        slot = slot_of(key)
        found = self._lanes.get(slot)
        if found is None:
            found = self._lanes[slot] = Lane(slot, shard=self._shard_of(slot))
        return found

    def _lane_of(self, command: Sequence[Part]) -> Lane:
        key = key_of(command)
        if key is not None:
            return self.lane(key)
        for shard in self._shards.values():
            if shard.is_up:
                return shard.own
        return next((shard.own for shard in self._shards.values()), self._nowhere)

    def _queue(self, lane: Lane, entry: Waiting) -> None:
        lane.queued.append(entry)
        self.pressure.asked(len(entry[0]))
        self._idle.clear()
        if lane.state is State.IDLE:
            lane.heard_at = time.monotonic()
            self._offer(lane)

    def _everywhere(self, callback: Callback, command: Sequence[Part]) -> None:
        """To every server, and behind everything that was submitted before: PING comes back when all that has."""
        lanes = [lane for lane in self._lanes.values() if lane.state is not State.IDLE]
        lanes += [shard.own for shard in self._shards.values()] or [self._nowhere]
        left = len(lanes)
        worst: Reply = None

        def one(reply: Reply) -> None:
            nonlocal left, worst
            left -= 1
            if worst is None or isinstance(reply, StoreError):
                worst = reply
            elif isinstance(worst, list):
                worst += reply
            if not left:
                callback(worst)

        data = packed(tuple(command))
        for lane in lanes:
            self._queue(lane, (data, one, 1, False))

    def _all_lanes(self) -> Iterator[Lane]:
        yield from self._lanes.values()
        yield from (shard.own for shard in self._shards.values())
        yield self._nowhere

    # What shards tell (shard.Keeper)

    def settled(self, group: Group, outcome: Settled | Setback) -> None:
        """A group was answered."""
        lane = group.lane
        if isinstance(outcome, Setback):
            lane.give_back(group.entries)
            self._hold(lane, outcome)
            return
        if lane.setbacks:
            self._note_served(lane)
        lane.heard_at = time.monotonic()
        lane.give_back(outcome.again)
        for entry, value in outcome.answered:
            self._answer(entry, value)
        if outcome.is_full:
            self._refuse_what_grows_in(lane)
        if lane.queued:
            self._offer(lane)
        else:
            lane.state = State.IDLE

    def batch_done(self) -> None:
        """All of a batch was answered."""
        self.pressure.heard()
        if not self.pressure.waiting:
            self._idle.set()

    def connected(self, shard: Shard) -> None:
        """A master lets us in."""
        log.info("redis_connected", master=str(shard.address))
        self._look_up()
        self._tell_reconnected()

    def lost(self, shard: Shard, why: Exception) -> None:
        """A master does not answer."""
        kind = StoreMisconfigured if isinstance(why, StoreMisconfigured | ConfigError) else StoreUnavailable
        self._note_loss(kind(f"{shard.address}: {why}"))
        self._look_up()
        if not any(each.is_up for each in self._shards.values()):
            self.pressure.lost()
        self._doubt.set()
        for lane in self._by_prefix.values():
            if lane.shard is shard:
                self._forget(lane)
        for lane in shard.drop_foreign():
            self._offer(lane)

    def _forget(self, lane: Lane) -> None:
        """What others say of positions in this bucket is not believed until its master was looked at."""
        if lane.bucket >= 0:
            self.line.forget([keys.PREFIXES[lane.bucket]])

    def prove(self, connection: socket.socket, shard: Shard) -> None:
        """See shard.Keeper."""
        self._prover.prove(connection, shard)

    def proven_bucket(self, shard: Shard) -> int | None:
        """See shard.Keeper."""
        return self._prover.proven_bucket(shard)

    # Setbacks

    def _hold(self, lane: Lane, setback: Setback) -> None:
        """It goes on a little later, at whoever serves it then."""
        if not lane.setbacks:
            lane.held_since = time.monotonic()
            log.info(
                "slot_not_served", slot=lane.slot, why=setback.why.value, error=setback.text, waiting=len(lane.queued)
            )
        lane.setbacks += 1
        lane.state = State.HELD
        self._held += 1
        if setback.why is Reason.MOVED:
            self._survey.hint(setback.host_port)
        if setback.why is not Reason.MOVING:
            self._doubt.set()
        pause_s = min(FIRST_PAUSE_S * 2 ** min(lane.setbacks - 1, 10), LONGEST_PAUSE_S)
        gevent.spawn_later(pause_s, self._release, lane)

    def _release(self, lane: Lane) -> None:
        if lane.state is State.HELD:
            self._held -= 1
            self._offer(lane)

    @staticmethod
    def _note_served(lane: Lane) -> None:
        log.info("slot_served_again", slot=lane.slot, seconds=round(time.monotonic() - lane.held_since, 3))
        lane.setbacks = 0

    def _offer(self, lane: Lane) -> None:
        lane.state = State.READY
        if lane.shard is not None:
            lane.shard.offer(lane)

    def _refuse_what_grows_in(self, lane: Lane) -> None:
        """As in Journal, for what waits in the same slot: it must not overtake the error of what was refused."""
        waiting, refused = list(lane.queued), 0
        lane.queued.clear()
        lane.queued.extend(entry for entry in waiting if not entry[3])
        for entry in waiting:
            if entry[3]:
                refused += 1
                self._answer(entry, answers.error_of("", full=True))
        self.pressure.full(1 + refused)

    # Who serves what

    def _watch(self) -> None:
        looked_at, failed = 0.0, 0
        while True:
            self._doubt.wait(TROUBLE_LOOK_S)
            self._prover.prove_more(self._shards.values())
            self._look_up()
            if not (self._doubt.is_set() or self._is_in_trouble or time.monotonic() - looked_at >= LOOK_S):
                continue
            self._doubt.clear()
            try:
                if self._survey.look(self._silent()):
                    self._follow()
                looked_at, failed = time.monotonic(), 0
            except (OSError, StoreUnavailable, ConfigError) as error:
                failed += 1
                if failed == 1 or isinstance(error, StoreMisconfigured):
                    self._note_loss(error)
                self.pressure.lost()
            except Exception:  # the top of a greenlet: without it no failover would be found
                log.exception("cluster_not_understood")
            gevent.sleep(min(0.01 * 2 ** min(failed, 7), 1.0))

    @property
    def _is_in_trouble(self) -> bool:
        return (
            bool(self._held)
            or not (self._survey.known and self._survey.known.is_whole)
            or any(not shard.is_up or shard.silent_s > SILENT_S for shard in self._shards.values())
        )

    def _silent(self) -> list[Address]:
        return [shard.address for shard in self._shards.values() if not shard.is_up or shard.silent_s > SILENT_S]

    def _follow(self) -> None:
        """Connect to new masters, leave those that are none any more, and hand the lanes over."""
        former, found = self._shards, self._survey.known
        assert found is not None
        self._known.set()
        masters = dict.fromkeys(found.masters)
        self._shards = {each: former.get(each) or self._new_shard(each, self) for each in masters}
        gone = [shard for address, shard in former.items() if address not in masters]
        listed = [lane for lane in self._lanes.values() if lane.state is State.READY and lane.shard is None]
        moved = 0
        for lane in self._lanes.values():
            shard = self._shard_of(lane.slot)
            if shard is not lane.shard:
                moved += 1
                lane.shard, lane.is_proven = shard, False
                self._release(lane)
                self._forget(lane)
        for address, shard in former.items():
            listed += shard.drop_foreign() if address in masters else shard.stop()
        self._hand_over(gone, listed)
        for address, shard in self._shards.items():
            if address not in former:
                shard.start()
        log.info("cluster_seen", epoch=found.epoch, masters=[str(each) for each in masters], lanes_moved=moved)
        self._look_up()
        self._prover.prove_more(self._shards.values())
        for follower in self.followers:
            follower()

    def _hand_over(self, gone: Sequence[Shard], listed: Sequence[Lane]) -> None:
        heir = next(iter(self._shards.values()), None)
        for lane in (self._nowhere, *(shard.own for shard in gone)):
            if heir is not None and lane.queued:
                heir.own.queued.extend(lane.queued)
                lane.queued.clear()
                lane.state = State.IDLE
                if heir.own.state is State.IDLE:
                    self._offer(heir.own)
        for lane in listed:
            if lane.slot >= 0:
                self._offer(lane)

    def _shard_of(self, slot: int) -> Shard | None:
        owner = self._survey.known.owner(slot) if self._survey.known else None
        return self._shards.get(owner) if owner else None

    def _look_up(self) -> None:
        """Up is: all slots are served, by masters that let us in. What stays away for long is not waited for."""
        shards, known, now = self._shards.values(), self._survey.known, time.monotonic()
        if known is not None and known.is_whole and all(shard.is_up for shard in shards):
            self._partial_since = now
            is_up = True
        else:
            is_up = now - self._partial_since > PARTIAL_S and any(shard.is_up for shard in shards)
        if is_up and not self._up.is_set():
            self._refused.clear()
            self._up.set()
            self.pressure.connected()
        elif not is_up:
            self._up.clear()
