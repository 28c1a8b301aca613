"""The journal: order, group commit, and what it does when Redis is gone, stops, refuses or is killed."""

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
import redis
from gevent.event import AsyncResult

from gateway.mailbox import keys
from gateway.mailbox.embedded import EmbeddedServer
from gateway.mailbox.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from gateway.mailbox.journal import LARGEST_GROUP, Journal
from gateway.mailbox.model import Delivery, Origin, Status
from gateway.settings import ConfigError
from tests.mailbox.bad_line import BadLine, a_bad_line
from tests.mailbox.world import JULIET, a_message, a_world

WAIT_S = 20.0

HANDSHAKE = len(":1\r\n" + "*0\r\n" + "$40\r\n" + 40 * "r" + "\r\n" + keys.BUCKETS * ":-1\r\n")
"""bytes that Redis answers before the first operation: it has the library, which gateways there are, which server it
is, and that each bucket was surveyed on it before"""


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    journal = Journal(redis_url)
    journal.start()
    journal.wait_up(WAIT_S)
    yield journal
    journal.stop()


@pytest.fixture
def line(redis_url: str, tmp_path: Path) -> Iterator[BadLine]:
    with a_bad_line(tmp_path / "line.sock", redis_url) as line:
        yield line


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < deadline:
        gevent.sleep(0.005)
    return condition()


def calls_of(url: str, command: str) -> int:
    with redis.Redis.from_url(url) as client:
        stats: Any = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


class Answers:
    """Collects answers in the order in which they come."""

    def __init__(self, expected: int) -> None:
        self.found: list[Any] = []
        self._expected = expected
        self._all: AsyncResult[bool] = AsyncResult()

    def __call__(self, answer: Any) -> None:
        self.found.append(answer)
        if len(self.found) == self._expected:
            self._all.set(True)

    def wait(self) -> list[Any]:
        self._all.get(timeout=WAIT_S)
        return self.found


# order and groups


def test_many_commands_at_once_are_answered_in_their_order_in_one_group(journal: Journal, redis_url: str) -> None:
    journal.call_all([("SET", f"k{number}", number) for number in range(100)])
    before = calls_of(redis_url, "multi")
    found = journal.call_all([("GET", f"k{number}") for number in range(100)])

    assert [str(number).encode() for number in range(100)] == found
    assert 1 == calls_of(redis_url, "multi") - before
    assert [] == journal.call_all([])


def test_one_of_many_commands_that_redis_does_not_understand_is_raised(journal: Journal) -> None:
    with pytest.raises(StoreCorrupt):
        journal.call_all([("SET", "k", "1"), ("NONSENSE",), ("SET", "other", "2")])

    assert b"2" == journal.call("GET", "other")


def test_answers_come_in_the_order_of_submission(journal: Journal) -> None:
    answers = Answers(1000)
    for n in range(1000):
        journal.submit(answers, "ECHO", str(n))

    assert [str(n).encode() for n in range(1000)] == answers.wait()


def test_what_greenlets_submit_together_is_committed_together(journal: Journal, redis_url: str) -> None:
    before = calls_of(redis_url, "exec")
    greenlets = [gevent.spawn(journal.call, "INCR", "n") for _ in range(2 * LARGEST_GROUP)]
    gevent.joinall(greenlets, timeout=WAIT_S, raise_error=True)

    assert list(range(1, 2 * LARGEST_GROUP + 1)) == [greenlet.value for greenlet in greenlets]
    assert 3 >= calls_of(redis_url, "exec") - before


def test_a_lonely_operation_needs_no_transaction(journal: Journal, redis_url: str) -> None:
    before = calls_of(redis_url, "exec")
    journal.call("INCR", "n")

    assert before == calls_of(redis_url, "exec")


def test_a_group_is_bounded_in_weight(journal: Journal, redis_url: str) -> None:
    before = calls_of(redis_url, "exec")
    answers = Answers(4)
    for _ in range(4):
        journal.submit(answers, "INCR", "n", weight=LARGEST_GROUP // 2)
    answers.wait()

    assert 2 == calls_of(redis_url, "exec") - before


def test_a_group_is_bounded_in_bytes(journal: Journal, redis_url: str) -> None:
    before = calls_of(redis_url, "exec")
    answers = Answers(40)
    for _ in range(40):
        journal.submit(answers, "SET", "k", "x" * 200_000)
    answers.wait()

    assert 6 <= calls_of(redis_url, "exec") - before


def test_a_callback_that_raises_does_not_stop_the_others(journal: Journal) -> None:
    answers = Answers(2)

    def faulty(_answer: Any) -> None:
        raise RuntimeError("a fault of ours")

    for callback in (answers, faulty, answers):
        journal.submit(callback, "PING")

    assert [b"PONG", b"PONG"] == answers.wait()
    assert b"PONG" == journal.call("PING")


def test_a_callback_may_submit_more(journal: Journal) -> None:
    answers = Answers(1)
    journal.submit(lambda _: journal.submit(answers, "PING"), "PING")

    assert [b"PONG"] == answers.wait()


def test_nothing_waits_when_all_was_answered(journal: Journal) -> None:
    journal.call("PING")

    assert 0 == journal.waiting
    assert journal.is_up


# refusals


def test_a_refusal_is_our_fault_and_is_raised(journal: Journal) -> None:
    journal.call("SET", "k", "no list")

    with pytest.raises(StoreCorrupt, match="WRONGTYPE"):
        journal.call("LPUSH", "k", "x")


def test_a_refusal_inside_a_group_concerns_only_its_own_operation(journal: Journal) -> None:
    answers = Answers(3)
    journal.call("SET", "k", "no list")
    for command in (("ECHO", "1"), ("LPUSH", "k", "x"), ("ECHO", "2")):
        journal.submit(answers, *command)
    first, refused, second = answers.wait()

    assert (b"1", b"2") == (first, second)
    assert isinstance(refused, StoreCorrupt)


def test_a_command_that_redis_does_not_know_is_no_poison_for_its_group(journal: Journal) -> None:
    answers, refused = Answers(2), Answers(1)
    journal.submit(answers, "INCR", "n")
    journal.submit(refused, "NOSUCHCOMMAND")
    journal.submit(answers, "INCR", "n")

    assert [1, 2] == answers.wait()
    assert isinstance(refused.wait()[0], StoreCorrupt)


def test_a_url_of_another_kind_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="redis://"):
        Journal("http://localhost")


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


def test_stopping_answers_everybody_who_waits(tmp_path: Path) -> None:
    journal = Journal(f"unix://{tmp_path}/nobody.sock")
    journal.start()
    answers = Answers(2)
    journal.submit(answers, "PING")
    journal.submit(answers, "PING")
    started = time.monotonic()
    journal.stop(flush_s=0.05)

    assert 5 > time.monotonic() - started
    assert [StoreUnavailable, StoreUnavailable] == [type(answer) for answer in answers.wait()]


def test_stopping_waits_for_what_was_submitted(redis_url: str) -> None:
    journal = Journal(redis_url)
    journal.start()
    answers = Answers(1)
    journal.submit(answers, "PING")
    journal.stop()

    assert [b"PONG"] == answers.found


def test_waiting_for_a_server_that_is_not_there_ends(tmp_path: Path) -> None:
    journal = Journal(f"unix://{tmp_path}/nobody.sock")
    journal.start()
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        journal.wait_up(0.05)
    journal.stop(0)
