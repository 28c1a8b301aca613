"""Sentinel: the master dies, hangs or loses writes while operations are on their way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult

from gateway.mailbox.dial import Address
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.fence import Fence
from gateway.mailbox.journal import Journal
from gateway.mailbox.model import Origin, Status
from gateway.mailbox.notices import Subscriber
from gateway.mailbox.redis_url import source as source_of
from gateway.mailbox.replicas import role_of
from tests.mailbox.world import JULIET, World, a_message, a_world
from tests.support.redis_sentinel import RedisSentinel

WAIT_S = 60.0
PATIENCE_S = 90.0
"""with an answer: what is left before that, is left because the sentinels name another master"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisSentinel]:
    with RedisSentinel(tmp_path) as redis:
        yield redis


@contextmanager
def a_town(redis: RedisSentinel, *, replicas: int = 0, node: str = "n1") -> Iterator[World]:
    fence = Fence(replicas, 1.0, partial(role_of, Address())) if replicas else None
    url = f"redis://127.0.0.1:{redis.master_port}"
    with a_world(url, node=node, journal=Journal(redis.url, timeout_s=PATIENCE_S, fence=fence)) as world:
        yield world


def told_of_a_message(town: World) -> list[Any]:
    """One message to juliet is on its way: where its answer comes."""
    answers: list[Any] = []
    town.mailbox.deliver(
        user=JULIET, resource="", sender="romeo@localhost/o", origin=Origin("romeo-1", 1, 600_000),
        kind="m", type="chat", flags="swb", stanza=a_message("1"), done=answers.append,
    )  # fmt: skip
    return answers


class Load:
    """Numbered messages to one phone, fifty a turn, as long as `go_on`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers: list[Any] = []
        self.sent = 0
        self._is_over = False
        self._runner = gevent.spawn(self._run)

    def _run(self) -> None:
        while not self._is_over:
            for _ in range(50):
                self.sent += 1
                self.world.mailbox.deliver(
                    user=JULIET, resource="", sender="romeo@localhost/o", origin=Origin("romeo-1", self.sent, 600_000),
                    kind="m", type="chat", flags="swb", stanza=a_message(str(self.sent)), done=self.answers.append,
                )  # fmt: skip
            gevent.sleep(0.05)
            while self.world.journal.waiting > 200 and not self._is_over:
                gevent.sleep(0.01)

    def end(self) -> None:
        self._is_over = True
        self._runner.join()
        RedisSentinel.wait(lambda: len(self.answers) == self.sent)


def test_what_was_answered_survives_the_master_once_and_in_order(redis: RedisSentinel) -> None:
    with a_town(redis, replicas=1) as town:
        town.account()
        phone = town.client()
        load = Load(town)
        RedisSentinel.wait(lambda: len(load.answers) > 200)
        former = redis.kill_master()
        answered = len(load.answers)
        redis.wait_for_failover(former)
        RedisSentinel.wait(lambda: len(load.answers) > answered + 100)
        load.end()
        found = [entry.stanza for entry in phone.read(1)]

    assert [a_message(str(n)) for n in range(1, load.sent + 1)] == found
    assert {Status.OK, Status.DUPLICATE} >= {answer.status for answer in load.answers}


def test_a_master_that_hangs_is_left_when_the_sentinels_name_another(redis: RedisSentinel) -> None:
    with a_town(redis) as town:
        connected: AsyncResult[str] = AsyncResult()
        heard: AsyncResult[str] = AsyncResult()
        listener = Subscriber(
            redis.url, "n1", on_entry=lambda *_: None, on_conflict=lambda *_: None,
            on_removed=lambda sid, _: heard.set(sid), on_connected=lambda: connected.set("once"),
            line=town.journal.line,
        )  # fmt: skip
        listener.start()
        connected.get(timeout=WAIT_S)
        port = redis.pause_master()
        started = time.monotonic()
        town.journal.call("INCR", "n", timeout_s=WAIT_S)
        redis.go_on(port)
        while not heard.ready():
            town.journal.submit(lambda _: None, "PUBLISH", "wg:n:n1", "d sid ended")
            gevent.sleep(0.1)
            assert time.monotonic() < started + 2 * WAIT_S
        listener.stop()

    assert "sid" == heard.get()


def test_a_master_that_hangs_and_is_still_named_is_not_waited_for(redis: RedisSentinel) -> None:
    source = source_of(redis.url)
    redis.pause_master()
    with gevent.Timeout(WAIT_S / 2), pytest.raises(StoreUnavailable, match="timed out"):
        source.dial(PATIENCE_S)


def test_without_enough_replicas_nothing_is_answered_and_nothing_is_lost(redis: RedisSentinel) -> None:
    with a_town(redis, replicas=2) as town:
        town.account()
        phone = town.client()
        gone = next(port for port in redis.server_ports if port != redis.master_port)
        redis.kill(gone)
        answers = told_of_a_message(town)
        RedisSentinel.wait(lambda: not town.journal.is_up)
        with pytest.raises(StoreUnavailable, match="1 of 2 replicas"):
            town.journal.wait_up(1.5)
        before = list(answers)
        redis.start_server(gone, replica_of=None)
        RedisSentinel.wait(lambda: len(answers) == 1)

        assert [] == before
        assert [a_message("1")] == phone.stanzas()


def test_what_a_master_answers_that_was_replaced_while_it_hung_survives(redis: RedisSentinel) -> None:
    with a_town(redis, replicas=1) as town:
        town.account()
        phone = town.client()
        load = Load(town)
        RedisSentinel.wait(lambda: len(load.answers) > 200)
        former = redis.pause_master()
        RedisSentinel.wait(lambda: any(redis.is_master(port) for port in redis.server_ports if port != former))
        redis.go_on(former)
        redis.wait_for_failover(former)
        answered = len(load.answers)
        RedisSentinel.wait(lambda: len(load.answers) > answered + 100)
        load.end()
        found = [entry.stanza for entry in phone.read(1)]

    assert [a_message(str(n)) for n in range(1, load.sent + 1)] == found
    assert {Status.OK, Status.DUPLICATE} >= {answer.status for answer in load.answers}
