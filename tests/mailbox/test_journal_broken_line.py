"""A journal whose line breaks, whose server dies, hangs or refuses: nothing is lost, doubled or reordered."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from gateway.mailbox import keys
from gateway.mailbox.embedded import EmbeddedServer
from gateway.mailbox.errors import StoreError, StoreFull, StoreUnavailable
from gateway.mailbox.journal import LARGEST_GROUP, Journal
from gateway.mailbox.model import Delivery, Origin, Status
from tests.mailbox.asking import WAIT_S, Answers, a_journal
from tests.mailbox.bad_line import BadLine, a_bad_line
from tests.mailbox.world import JULIET, a_message, a_world

HANDSHAKE = len(":1\r\n" + "*0\r\n" + "$40\r\n" + 40 * "r" + "\r\n" + keys.BUCKETS * ":-1\r\n")
"""bytes that Redis answers before the first operation: it has the library, which gateways there are, which server it
is, and that each bucket was surveyed on it before"""


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    yield from a_journal(redis_url)


@pytest.fixture
def line(redis_url: str, tmp_path: Path) -> Iterator[BadLine]:
    with a_bad_line(tmp_path / "line.sock", redis_url) as line:
        yield line


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < deadline:
        gevent.sleep(0.005)
    return condition()


# a line that breaks


@pytest.mark.parametrize("seed", range(5))
def test_a_line_that_breaks_anywhere_loses_doubles_and_reorders_nothing(
    redis_url: str, line: BadLine, seed: int
) -> None:
    chance = random.Random(seed)
    with a_world(redis_url) as behind, a_world(line.url, node="n2") as world:
        behind.account()
        phone = behind.client()
        line.breaks = [chance.randrange(1, 4000) for _ in range(12)]
        answers = Answers(300)
        line.cut()
        for n in range(1, 301):
            world.mailbox.deliver(
                user=JULIET, resource="", sender="romeo@localhost/o",
                origin=Origin("romeo-1", n, 600_000) if chance.random() < 0.5 else None,
                kind="m", type="chat", flags="swb", stanza=a_message(str(n)), done=answers,
            )  # fmt: skip
            if chance.random() < 0.1:
                gevent.sleep(0.001)
        found: list[Delivery] = answers.wait()

        assert {Status.OK, Status.DUPLICATE} >= {answer.status for answer in found}
        assert [a_message(str(n)) for n in range(1, 301)] == phone.stanzas()
        assert 2 <= line.connections
        assert {"accepted": 300} == behind.fates()


def test_every_operation_may_be_sent_twice(redis_url: str, line: BadLine) -> None:
    """A session's life over a line that drops each answer once."""
    with a_world(redis_url) as behind, a_world(line.url, node="n2") as world:
        behind.account()
        behind.client("tablet").ack_all()
        world.redis.close()
        world.redis = behind.redis  # a look behind the scenes takes the good line

        def twice(operation: Callable[[], Any]) -> Any:
            line.breaks = [HANDSHAKE]
            line.cut()
            answer = operation()
            assert [] == line.breaks
            return answer

        phone = twice(lambda: world.bind("phone"))
        twice(lambda: phone.enable())
        twice(lambda: phone.presence(0, b"<presence from='phone'/>"))
        twice(lambda: phone.register())
        twice(lambda: world.deliver(a_message("1"), to="phone"))
        twice(lambda: phone.append(b"<iq type='result'/>"))
        twice(lambda: phone.handled(3))
        seen = [entry.stanza for entry in phone.read()]
        twice(lambda: phone.hibernate())
        twice(lambda: world.deliver(a_message("2"), to="phone"))
        resumed = phone.taken_over(twice(lambda: phone.resume(int(phone.marks()["acked"]))))
        twice(lambda: resumed.ack_all())
        twice(lambda: resumed.close())

        assert [a_message("1"), b"<iq type='result'/>"] == seen[-2:]
        assert {"accepted": 2, "acked": 2} == behind.fates()
        assert 1 == len(behind.accounts.sessions(JULIET))


def test_operations_submitted_while_redis_is_away_wait_and_keep_their_order(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, appendfsync="no")
    journal = Journal(server.url)
    journal.start()
    answers = Answers(10)
    for n in range(10):
        journal.submit(answers, "ECHO", str(n))
    gevent.sleep(0)
    was_up = journal.is_up
    server.start()
    try:
        assert not was_up
        assert [str(n).encode() for n in range(10)] == answers.wait()
    finally:
        journal.stop()
        server.stop()


def test_a_server_that_is_killed_and_started_again_costs_nobody_a_message(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, appendfsync="always")
    server.start()
    with a_world(server.url) as world:
        world.account()
        phone = world.client()
        answers = Answers(400)
        for n in range(1, 401):
            world.mailbox.deliver(
                user=JULIET, resource="", sender="romeo@localhost/o", origin=Origin("romeo-1", n, 600_000), kind="m",
                type="chat", flags="swb", stanza=a_message(str(n)), done=answers,
            )  # fmt: skip
            if n in (100, 200, 300):
                gevent.sleep(0.002)
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
                server.wait(WAIT_S)
                server.stop()
                server.start()
        answers.wait()
        found = phone.stanzas()
    server.stop()

    assert [a_message(str(n)) for n in range(1, 401)] == found


def test_a_server_that_hangs_is_given_up_and_asked_again(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, appendfsync="no")
    server.start()
    connected: list[float] = []
    journal = Journal(server.url, timeout_s=0.3)
    journal.on_reconnect = lambda: connected.append(time.monotonic())
    journal.start()
    journal.wait_up(WAIT_S)
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    answers = Answers(1)
    journal.submit(answers, "INCR", "n")
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        journal.call("PING", timeout_s=0.2)
    waited_s = time.monotonic() - started
    was_given_up = wait_for(lambda: not journal.is_up)
    os.kill(pid, signal.SIGCONT)
    answers.wait()
    journal.stop()
    server.stop()

    assert 5 > waited_s
    assert was_given_up
    assert 2 <= len(connected)


def test_a_connection_that_was_idle_is_not_taken_for_a_lost_one(redis_url: str) -> None:
    """The wait for an answer counts from the question, not from the last thing that was heard."""
    connected: list[int] = []
    journal = Journal(redis_url, timeout_s=1.0)
    journal.on_reconnect = lambda: connected.append(1)
    journal.start()
    journal.wait_up(WAIT_S)
    gevent.sleep(0.7)
    journal.call("BLPOP", "nothing", "0.6", timeout_s=WAIT_S)
    journal.stop()

    assert [1] == connected


@pytest.mark.parametrize(
    "refusal",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-BUSY Redis is busy running a script.\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
    ],
)
def test_what_redis_refuses_for_now_is_asked_again(line: BadLine, refusal: bytes) -> None:
    line.refusals = [refusal, refusal]
    journal = Journal(line.url)
    journal.start()
    answer = journal.call("PING", timeout_s=WAIT_S)
    journal.stop()

    assert b"PONG" == answer
    assert 3 == line.connections


def test_short_of_memory_every_message_is_refused_and_none_overtakes_another(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, appendfsync="no")
    server.start()
    with a_world(server.url) as world:
        world.account()
        phone = world.client()

        def sent(last: int) -> list[Delivery | StoreError]:
            answers = Answers(last)
            for n in range(1, last + 1):
                world.mailbox.deliver(
                    user=JULIET, resource="", sender="romeo@localhost/o", origin=Origin("romeo-1", n, 600_000),
                    kind="m", type="chat", flags="swb", stanza=a_message(str(n)), done=answers,
                )  # fmt: skip
            found: list[Delivery | StoreError] = answers.wait()
            return found

        world.redis.config_set("maxmemory", 1)
        refused = sent(2 * LARGEST_GROUP)
        asked = world.redis.info("commandstats")["cmdstat_fcall"]["rejected_calls"]
        world.redis.config_set("maxmemory", 0)
        taken = sent(50)
        stanzas = phone.stanzas()
    server.stop()

    assert {StoreFull} == {type(answer) for answer in refused}
    assert LARGEST_GROUP >= asked  # those behind them were refused with them
    assert {Status.OK} == {answer.status for answer in taken if isinstance(answer, Delivery)}
    assert [a_message(str(n)) for n in range(1, 51)] == stanzas


def test_a_library_that_was_flushed_is_loaded_again(redis_url: str) -> None:
    with a_world(redis_url) as world:
        world.account()
        world.redis.function_flush()

        assert Status.OFFLINE == world.status(a_message("1"))


def test_a_fault_in_what_follows_a_reconnect_does_not_end_the_journal(redis_url: str) -> None:
    journal = Journal(redis_url)

    def faulty() -> None:
        raise RuntimeError("a fault of ours")

    journal.on_reconnect = faulty
    journal.start()

    assert b"PONG" == journal.call("PING", timeout_s=WAIT_S)
    journal.stop()
