"""Redis with replicas: Sentinel and Redis Cluster, as tests/support starts them, and what strikes them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import gevent
import redis
from redis.crc import key_slot

from gateway.mailbox import keys
from scripts.chaos_lab.clocks import Clocks
from scripts.chaos_lab.plan import Plan
from scripts.chaos_lab.stores import Blow, Store
from tests.support.redis_cluster import ClusterNode, RedisCluster
from tests.support.redis_sentinel import RedisSentinel

NOT_IN_TIME = (AssertionError, redis.RedisError, OSError, StopIteration, KeyError)
"""what a server says that is not there, or not yet: the next blow finds it"""

REPLACED_S = 10.0
"""a master that hangs is replaced by then, or it is not"""

MOVED_AT_ONCE = 4
"""slots of a migration"""


def make(plan: Plan, clocks: Clocks) -> Store:
    """For `plan.redis` sentinel or cluster."""
    return WithSentinel(plan, clocks) if plan.redis == "sentinel" else WithCluster(plan, clocks)


def _settings(url: str, plan: Plan) -> Mapping[str, object]:
    return {"url": url, "wait_replicas": plan.wait_replicas}


class WithSentinel:
    """A master, two replicas, three sentinels."""

    def __init__(self, plan: Plan, clocks: Clocks) -> None:
        self._plan = plan
        self._redis = RedisSentinel(plan.directory / "redis", appendfsync=plan.appendfsync, environ=clocks.of_server)
        self._busy = False

    def start(self, config: tuple[str, ...]) -> None:
        """See Store."""
        self._redis.start()

    def settings(self) -> Mapping[str, object]:
        """See Store."""
        return _settings(self._redis.url, self._plan)

    def blows(self, rng: random.Random) -> list[Blow]:
        """See Store. While one failover is under way there is no second one: two of three servers would be gone."""
        if self._busy:
            return [Blow("kill sentinel", lambda: self._kill_sentinel(rng), is_kill=True)]
        seconds = rng.uniform(3.0, 8.0)
        hang = Blow("hang until replaced", lambda: self._pause_master(self._until_replaced), is_kill=False)
        return [
            Blow("kill master", self._kill_master, is_kill=True),
            Blow("kill replica", lambda: self._kill_replica(rng), is_kill=True),
            Blow("kill sentinel", lambda: self._kill_sentinel(rng), is_kill=True),
            Blow(f"pause {seconds:.1f} s", lambda: self._pause_master(lambda _: gevent.sleep(seconds)), is_kill=False),
            hang,
            hang,  # twice as likely: what it finds nothing else does
        ]

    def stop(self) -> None:
        """See Store."""
        self._redis.stop()

    def _kill_master(self) -> None:
        self._busy = True
        try:
            with suppress(*NOT_IN_TIME):
                former = self._redis.kill_master()
                try:
                    self._redis.wait_for_failover(former)
                finally:
                    self._redis.restart(former)
                self._redis.wait_for_replicas(2)
        finally:
            self._busy = False

    def _until_replaced(self, port: int) -> None:
        """It goes on in the moment in which its other replica still follows it."""
        others = [other for other in self._redis.server_ports if other != port]
        _wait(lambda: any(map(self._redis.is_master, others)))

    def _pause_master(self, wait: Callable[[int], None]) -> None:
        self._busy = True
        try:
            with suppress(*NOT_IN_TIME):
                port = self._redis.pause_master()
                try:
                    wait(port)
                finally:
                    self._redis.go_on(port)
                self._redis.wait_for_replicas(2)
        finally:
            self._busy = False

    def _kill_replica(self, rng: random.Random) -> None:
        self._busy = True
        try:
            with suppress(*NOT_IN_TIME):
                master = self._redis.master_port
                port = rng.choice([port for port in self._redis.server_ports if port != master])
                self._redis.kill(port)
                gevent.sleep(1.0)
                self._redis.restart(port)
                self._redis.wait_for_replicas(2)
        finally:
            self._busy = False

    def _kill_sentinel(self, rng: random.Random) -> None:
        """Two are left, which agree; it comes back."""
        with suppress(*NOT_IN_TIME):
            port = self._redis.kill(rng.choice(self._redis.sentinel_ports))
            gevent.sleep(1.0)
            self._redis._start_sentinel(port)


class WithCluster:
    """Three masters, each with a replica."""

    def __init__(self, plan: Plan, clocks: Clocks) -> None:
        self._plan = plan
        config = ("appendonly yes", f"appendfsync {plan.appendfsync}")
        self._redis = RedisCluster(
            plan.directory / "redis", masters=3, replicas=1, config=config, environ=clocks.of_server
        )
        self._busy = False

    def start(self, config: tuple[str, ...]) -> None:
        """See Store."""
        self._redis.start()

    def settings(self) -> Mapping[str, object]:
        """See Store."""
        return _settings(self._redis.url, self._plan)

    def blows(self, rng: random.Random) -> list[Blow]:
        """See Store. One at a time: a master whose replica is not there again would be gone for good."""
        if self._busy:
            return []
        part, seconds = rng.randrange(3), rng.uniform(1.0, 6.0)
        return [
            Blow("kill master", lambda: self._one_at_a_time(lambda: self._kill_master(part)), is_kill=True),
            Blow("fail over", lambda: self._one_at_a_time(lambda: self._redis.fail_over(part)), is_kill=False),
            Blow("migrate", lambda: self._one_at_a_time(lambda: self._migrate(rng, part)), is_kill=False),
            Blow(
                f"pause {seconds:.1f} s",
                lambda: self._one_at_a_time(lambda: self._pause_master(part, lambda _: gevent.sleep(seconds))),
                is_kill=False,
            ),
            Blow(
                "hang until replaced",
                lambda: self._one_at_a_time(lambda: self._pause_master(part, partial(self._until_replaced, part))),
                is_kill=False,
            ),
        ]

    def stop(self) -> None:
        """See Store."""
        self._redis.stop()

    def _one_at_a_time(self, deed: Callable[[], None]) -> None:
        self._busy = True
        try:
            with suppress(*NOT_IN_TIME):
                deed()
                self._redis.wait_ok()
                self._redis.wait_in_sync()
        finally:
            self._busy = False

    def _kill_master(self, part: int) -> None:
        node = self._redis.kill_master(part)
        try:
            self._redis.wait_ok()
        finally:
            self._redis.restart(node)

    def _until_replaced(self, part: int, former: ClusterNode) -> None:
        _wait(lambda: self._redis.master(part) is not former)

    def _pause_master(self, part: int, wait: Callable[[ClusterNode], None]) -> None:
        node = self._redis.pause(part)
        try:
            wait(node)
        finally:
            self._redis.resume()

    def _migrate(self, rng: random.Random, part: int) -> None:
        """Some of the slots in which mailboxes are, while they are used."""
        for bucket in rng.sample(range(keys.BUCKETS), MOVED_AT_ONCE):
            slot = key_slot(keys.bucket_prefix(bucket).encode())
            self._redis.migrate(slot, to=part, pause_s=0.005, keys_at_once=10)


def _wait(condition: Callable[[], bool]) -> None:
    """Until it holds, for REPLACED_S at most."""
    until = time.monotonic() + REPLACED_S
    while not condition() and time.monotonic() < until:
        gevent.sleep(0.01)
