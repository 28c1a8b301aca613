"""The journal: order, group commit, and what it does when Redis is gone, stops, refuses or is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis

from gateway.mailbox.errors import StoreCorrupt, StoreUnavailable
from gateway.mailbox.journal import LARGEST_GROUP, Journal
from gateway.settings import ConfigError
from tests.mailbox.asking import WAIT_S, Answers, a_journal


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    yield from a_journal(redis_url)


def calls_of(url: str, command: str) -> int:
    with redis.Redis.from_url(url) as client:
        stats: Any = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


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
