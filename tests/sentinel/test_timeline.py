"""Whose word on positions is believed: who speaks of the same data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gevent.event import AsyncResult
from gevent.queue import Queue

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.mailbox.model import Placed
from gateway.mailbox.notices import Subscriber, publish_entries
from gateway.mailbox.timeline import NO_MARK, Line

ALL = [keys.bucket_prefix(bucket) for bucket in range(keys.BUCKETS)]
WAIT_S = 20.0


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    journal = Journal(redis_url)
    journal.start()
    journal.wait_up(WAIT_S)
    yield journal
    journal.stop()


def a_line(run_id: str = "r") -> Line:
    line = Line()
    line.note(ALL, run_id)
    return line


def test_two_processes_agree_only_when_every_bucket_is_from_the_same_start_of_a_server() -> None:
    moved, unsure = a_line(), a_line()
    moved.note(ALL[:1], "another")
    unsure.forget(ALL[:1])
    again = a_line("another")
    again.note(ALL, "r")

    assert a_line().mark == again.mark
    assert a_line().mark != moved.mark
    assert [NO_MARK, NO_MARK] == [unsure.mark, Line().mark]


@pytest.mark.parametrize("is_same", [True, False])
def test_a_position_in_other_data_is_only_a_reason_to_look(journal: Journal, redis_url: str, is_same: bool) -> None:
    heard: Queue[Any] = Queue()
    connected: AsyncResult[bool] = AsyncResult()
    listener = Subscriber(
        redis_url, "n1", on_entry=lambda *told: heard.put(told), on_conflict=lambda *_: None,
        on_removed=lambda *_: None, on_connected=lambda: connected.set(True),
        line=journal.line if is_same else a_line("another"),
    )  # fmt: skip
    listener.start()
    connected.get(timeout=WAIT_S)
    publish_entries(journal, [Placed("sid", "n1", 7)], b"<message/>")
    told = heard.get(timeout=WAIT_S)
    listener.stop()

    assert ("sid", 7, b"<message/>") == told if is_same else ("sid", 0, b"") == told


def test_a_proof_that_fails_keeps_the_connection_from_being_used(redis_url: str) -> None:
    def faulty(*_: Any) -> None:
        raise RuntimeError("a fault of ours")

    journal = Journal(redis_url)
    journal.proof = faulty
    journal.start()
    with pytest.raises(StoreUnavailable, match="could not be verified"):
        journal.wait_up(0.3)
    journal.stop(0)

    assert NO_MARK == journal.line.mark
