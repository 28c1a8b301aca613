"""The journal on a real cluster: order and nothing lost while slots move, masters die or stand still; TLS and ACL."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from gateway.mailbox import keys, library
from gateway.mailbox.cluster.journal import ClusterJournal
from gateway.mailbox.cluster.slots import slot_of
from gateway.mailbox.dial import Part
from gateway.mailbox.errors import StoreMisconfigured
from gateway.mailbox.fence import Fence
from gateway.mailbox.opening import open_journal
from gateway.mailbox.replicas import HostPort
from gateway.mailbox.settings import RedisSettings
from tests.cluster.conftest import WAIT_S, a_journal
from tests.support.pieces import eventually
from tests.support.redis_cluster import ACL_RULES, RedisCluster

BUCKETS = range(0, keys.BUCKETS, 4)

MOST_WAITING = 300
"""operations in a bucket, as clients wait for acknowledgements"""


class Load:
    """Adds numbers to something in each of some buckets, and looks that they are answered in order, and well."""

    def __init__(self, journal: ClusterJournal, command: Callable[[int, int], tuple[Part, ...]] | None = None) -> None:
        self.journal = journal
        self._command = command or (lambda bucket, number: ("ZADD", self.key(bucket), number, number))
        self.sent = dict.fromkeys(BUCKETS, 0)
        self.answered = dict.fromkeys(BUCKETS, 0)
        self.wrong: list[Any] = []

    def run(self) -> None:
        while True:
            for bucket in BUCKETS:
                if self.sent[bucket] - self.answered[bucket] > MOST_WAITING:
                    continue
                self.sent[bucket] += 1
                number = self.sent[bucket]
                self.journal.submit(partial(self._note, bucket, number), *self._command(bucket, number))
            gevent.sleep(0.01)

    def _note(self, bucket: int, number: int, reply: Any) -> None:
        self.answered[bucket] += 1
        if isinstance(reply, Exception) or self.answered[bucket] != number:
            self.wrong.append((bucket, number, reply))

    @staticmethod
    def key(bucket: int) -> str:
        return keys.bucket_prefix(bucket) + "numbers"

    def moves_on(self, buckets: range | list[int] = BUCKETS) -> None:
        """Wait until something that is submitted from now on is answered in each bucket."""
        then = dict(self.sent)
        eventually(lambda: all(self.answered[bucket] > then[bucket] for bucket in buckets), "answers", WAIT_S)

    def kept(self) -> dict[int, list[bytes]]:
        return {bucket: self.journal.call("ZRANGE", self.key(bucket), 0, -1) for bucket in BUCKETS}


@contextmanager
def a_load(journal: ClusterJournal, *, is_kept: bool = True) -> Iterator[Load]:
    """Afterwards everything is answered, in order, and is there, unless a failover may have lost it."""
    load = Load(journal)
    runner = gevent.spawn(load.run)
    load.moves_on()
    try:
        yield load
    finally:
        runner.kill()
    eventually(lambda: load.answered == load.sent, "all answers", WAIT_S)

    assert [] == load.wrong
    if is_kept:
        assert {each: [b"%d" % n for n in range(1, load.sent[each] + 1)] for each in BUCKETS} == load.kept()


def test_what_moves_waits_and_what_does_not_goes_on(cluster: RedisCluster, journal: ClusterJournal) -> None:
    slots = {bucket: slot_of(keys.bucket_prefix(bucket)) for bucket in BUCKETS}
    bucket = next(bucket for bucket in BUCKETS if slots[bucket] in cluster.part(0))
    with a_load(journal) as load:
        goes_on = Event()
        gone = partial(goes_on.wait, WAIT_S)  # all keys of the slot are, and nobody serves it yet
        moving = gevent.spawn(cluster.migrate, slots[bucket], 1, keys_at_once=10, wait=gone)
        eventually(lambda: load.sent[bucket] > load.answered[bucket] + 20, "the lane to wait")
        load.moves_on([each for each in BUCKETS if each != bucket])
        moved_meanwhile = moving.ready()
        goes_on.set()
        moving.get(timeout=WAIT_S)
        load.moves_on()
        cluster.migrate(slots[bucket], 0)
        load.moves_on()

    assert not moved_meanwhile


def test_a_killed_master_costs_nothing_that_was_answered(cluster: RedisCluster) -> None:
    reconnected: list[bool] = []
    with a_journal(cluster, replicas=1) as journal, a_load(journal) as load:
        journal.on_reconnect = lambda: reconnected.append(journal.is_up)
        cluster.fail_over(1)
        load.moves_on()
        former = cluster.kill_master(2)
        eventually(lambda: not journal.is_up, "the loss to be seen")
        cluster.wait_ok()
        promoted = cluster.master(2)
        cluster.restart(former)
        load.moves_on()
        has_functions = cluster.client_of(promoted)
        loaded = has_functions.execute_command("FUNCTION", "LIST", "LIBRARYNAME", library.name())
        has_functions.close()

    assert promoted is not former
    assert loaded
    assert reconnected[-1]


def test_a_master_that_stands_still_is_left_for_its_replica(cluster: RedisCluster, journal: ClusterJournal) -> None:
    with a_load(journal, is_kept=False) as load:
        former = cluster.pause(0)
        load.moves_on()
        promoted = cluster.master(0)
        cluster.resume()
        load.moves_on()

    assert promoted is not former


APPEND = """\
local list, n = KEYS[1] .. 'numbers', tonumber(ARGV[1])
local last = redis.call('LLEN', list)
if n == last + 1 then redis.call('RPUSH', list, n) end
return n <= last + 1 and 1 or redis.error_reply('GAP after ' .. last)
"""
"""As operations are: its key is a prefix under which nothing is, it may be done twice, and tells when one was lost."""


class Storm:
    """What may happen to a cluster, one thing at a time."""

    def __init__(self, cluster: RedisCluster, seed: int) -> None:
        self._cluster = cluster
        self._random = random.Random(seed)

    def blow(self) -> None:
        part = self._random.randrange(self._cluster.masters)
        self._random.choice((self._kill, self._pause, self._cluster.fail_over, self._migrate))(part)
        self._cluster.wait_ok()
        self._cluster.wait_in_sync()

    def _kill(self, part: int) -> None:
        former = self._cluster.kill_master(part)
        self._cluster.wait_ok()
        self._cluster.restart(former)

    def _pause(self, part: int) -> None:
        self._cluster.pause(part)
        gevent.sleep(self._random.uniform(0.5, 5.0))
        self._cluster.resume()

    def _migrate(self, part: int) -> None:
        slot = slot_of(keys.bucket_prefix(self._random.randrange(keys.BUCKETS)))
        self._cluster.migrate(slot, part, pause_s=self._random.choice((0.0, 0.2)))


@pytest.mark.skipif("WAKEGATE_STORM_S" not in os.environ, reason="by hand: WAKEGATE_STORM_S=100, in seconds")
def test_a_storm_leaves_everything_in_order(cluster: RedisCluster) -> None:
    storm = Storm(cluster, seed=int(os.environ.get("WAKEGATE_SEED", "1")))
    deadline = time.monotonic() + float(os.environ["WAKEGATE_STORM_S"])
    with a_journal(cluster, replicas=1) as journal:
        load = Load(journal, command=lambda bucket, n: ("EVAL", APPEND, 1, keys.bucket_prefix(bucket), n))
        runner = gevent.spawn(load.run)
        while time.monotonic() < deadline:
            storm.blow()
        runner.kill()
        eventually(lambda: load.answered == load.sent, "all answers", WAIT_S)
        kept = {bucket: journal.call("LRANGE", load.key(bucket), 0, -1) for bucket in BUCKETS}

    assert [] == load.wrong
    assert {bucket: [b"%d" % n for n in range(1, load.sent[bucket] + 1)] for bucket in BUCKETS} == kept


def test_a_replica_that_has_left_is_asked_for_over_the_next_connection_too(cluster: RedisCluster) -> None:
    settings = RedisSettings(url=cluster.url, tls_ca_file=str(cluster.certificate))
    asked: list[int] = []

    def says_that_it_follows(at: HostPort) -> str:
        asked.append(at[1])
        return "slave"

    journal = ClusterJournal(settings.servers(Path()), fence=partial(Fence, 0, 1.0, says_that_it_follows))
    here = next(
        keys.bucket_prefix(bucket) for bucket in BUCKETS if slot_of(keys.bucket_prefix(bucket)) in cluster.part(0)
    )
    master = cluster.client(0)
    replica = next(node for node in cluster.nodes if node.port == int(master.execute_command("ROLE")[2][0][1]))
    journal.start()
    try:
        journal.wait_up(WAIT_S)
        assert replica.process is not None
        replica.process.kill()
        eventually(lambda: not master.execute_command("ROLE")[2], "the master to miss it")
        journal.call("GET", here + "nothing")
        first = list(asked)
        master.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        asked.clear()
        journal.call("GET", here + "nothing")
    finally:
        journal.stop()
        master.close()

    assert [replica.port] == first
    assert {replica.port} == set(asked)


def test_it_says_at_once_that_a_password_is_wrong(cluster: RedisCluster) -> None:
    url = cluster.url.replace("secret", "guess")
    journal = open_journal(RedisSettings(url=url, tls_ca_file=str(cluster.certificate)), Path())
    journal.start()
    try:
        journal.wait_up(WAIT_S)
        refused = ""
    except StoreMisconfigured as error:
        refused = str(error)
    finally:
        journal.stop()

    assert "WRONGPASS" in refused


def test_the_user_of_these_tests_is_the_one_that_operators_are_told_to_make() -> None:
    told = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")

    assert f"user wakegate on >PASSWORD {ACL_RULES}\n" in told
