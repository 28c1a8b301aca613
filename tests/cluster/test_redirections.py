"""What the journal does with redirections and refusals: lanes, against nodes that answer by script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.mailbox.cluster.slots import slot_of
from gateway.mailbox.errors import StoreCorrupt, StoreFull
from gateway.mailbox.journal import Journal
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from tests.cluster.a_node import Node, free_port, nodes
from tests.support.pieces import eventually

WAIT_S = 30.0

SLOW, QUICK = "{a}", "{b}"
"""keys in different slots"""


@contextmanager
def a_journal(*seeds: int) -> Iterator[Journal]:
    hosts = ",".join(f"127.0.0.1:{port}" for port in seeds)
    journal = open_journal(RedisSettings(url=f"redis+cluster://{hosts}", timeout_s=5.0), Path())
    journal.start()
    journal.wait_up(WAIT_S)
    try:
        yield journal
    finally:
        journal.stop()


class Answers:
    """The answers to what was submitted, in the order in which they came."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.got: list[tuple[str, Any]] = []

    def submit(self, *names: str, key: str = SLOW, verb: str = "SET") -> None:
        for name in names:
            self._journal.submit(partial(self._note, name), verb, key, name)

    def _note(self, name: str, reply: Any) -> None:
        self.got.append((name, reply))

    def submit_growing(self, key: str) -> None:
        """An operation that a server which is full refuses."""
        self._journal.submit(partial(self._note, key), "FCALL", "grows", 1, key, "x")

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.got]

    def wait(self, count: int) -> None:
        eventually(lambda: len(self.got) == count, f"{count} answers, got {self.got}")


def names_heard(node: Node, key: str = SLOW) -> list[str]:
    return [command[2] for command in node.heard if command[1] == key]


def test_a_lane_that_is_sent_elsewhere_goes_there_whole_and_in_order() -> None:
    with nodes(2) as (former, now), a_journal(former.port) as journal:
        answers = Answers(journal)
        former.script = lambda command: f"-MOVED 1 127.0.0.1:{now.port}\r\n" if command[1] == SLOW else None
        for node in (former, now):
            node.slots, node.epoch = [(0, 16383, now.port)], 2
        answers.submit(*"1234")
        answers.submit("other", key=QUICK)
        answers.wait(5)

    assert list("1234") == names_heard(now)
    assert list("1234") == [name for name in answers.names if name != "other"]


def test_a_slot_that_is_moving_is_waited_for_and_nobody_is_asked_in_its_place() -> None:
    is_moving = True

    def moving(command: list[str]) -> str | None:
        return f"-ASK 1 127.0.0.1:{target.port}\r\n" if command[1] == SLOW and is_moving else None

    with nodes(2) as (source, target), a_journal(source.port) as journal:
        answers = Answers(journal)
        source.script = moving
        answers.submit(*"123")
        eventually(lambda: len(names_heard(source)) > 4, "several attempts")
        answers.submit(*"xyz", key=QUICK)
        answers.wait(3)
        meanwhile = answers.names
        is_moving = False
        answers.wait(6)

    assert [] == target.heard
    assert list("xyz") == meanwhile
    assert list("xyz123") == answers.names
    assert ["1"] * (len(names_heard(source)) - 5) == names_heard(source)[3:-2], (
        "one is enough to look whether it may go on"
    )


@pytest.mark.parametrize("refusal", ["TRYAGAIN", "CLUSTERDOWN The cluster is down", "LOADING", "BUSY", "MISCONF"])
def test_what_is_refused_for_the_moment_is_sent_again_in_order(refusal: str) -> None:
    left = 3

    def refuses(command: list[str]) -> str | None:
        nonlocal left
        if command[2] != "2" or not left:
            return None
        left -= 1
        return f"-{refusal}\r\n"

    with nodes(1) as (node,), a_journal(node.port) as journal:
        node.script = refuses
        answers = Answers(journal)
        answers.submit(*"123")
        answers.wait(3)

    assert [("1", b"OK"), ("2", b"OK"), ("3", b"OK")] == answers.got


def test_what_a_server_does_not_understand_is_answered_and_the_rest_goes_on() -> None:
    with nodes(1) as (node,), a_journal(node.port) as journal:
        node.script = lambda command: "-ERR no such thing\r\n" if command[2] == "2" else None
        answers = Answers(journal)
        answers.submit(*"123")
        answers.wait(3)

    assert {"1": bytes, "2": StoreCorrupt, "3": bytes} == {name: type(reply) for name, reply in answers.got}


def test_a_full_server_refuses_what_makes_it_grow_in_that_slot_only() -> None:
    with nodes(1) as (node,), a_journal(node.port) as journal:
        node.script = lambda command: "-OOM command not allowed\r\n" if command[3] == SLOW else None
        answers = Answers(journal)
        for key in (SLOW, QUICK):
            answers.submit_growing(key)
        answers.wait(2)

    assert {SLOW: StoreFull, QUICK: bytes} == {name: type(reply) for name, reply in answers.got}


def test_a_node_that_knows_of_fewer_changes_than_we_have_heard_of_is_not_believed() -> None:
    left = 3

    def points_at_stale(_command: list[str]) -> str | None:
        nonlocal left
        left -= 1
        return f"-MOVED 1 127.0.0.1:{stale.port}\r\n" if left >= 0 else None

    with nodes(2) as (now, stale):
        now.epoch = 7
        stale.slots, stale.epoch = [(0, 16383, stale.port)], 6
        with a_journal(now.port) as journal:
            now.script = points_at_stale
            reply = journal.call("SET", SLOW, "1")

    assert b"OK" == reply
    assert stale.asked
    assert [] == stale.heard


def test_any_node_that_answers_will_do_to_begin_with() -> None:
    with nodes(1) as (node,), a_journal(free_port(), free_port(), node.port) as journal:
        reply = journal.call("SET", SLOW, "1")

    assert b"OK" == reply


def test_a_ping_comes_back_behind_everything_before_it_and_from_every_server() -> None:
    with nodes(2) as (one, two):
        for node in (one, two):
            node.slots = [(0, 8191, one.port), (8192, 16383, two.port)]
        with a_journal(one.port) as journal:
            answers = Answers(journal)
            answers.submit(*"123")
            answers.submit(*"xyz", key=QUICK)
            journal.call("PING")
            before = sorted(answers.names)

    assert sorted("123xyz") == before
    assert all(["PING"] in node.heard for node in (one, two))


def test_a_master_that_stays_away_is_not_waited_for_by_those_who_need_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.mailbox.cluster.journal.PARTIAL_S", 1.0)
    with nodes(2) as (one, two):
        for node in (one, two):
            node.slots = [(0, 8191, one.port), (8192, 16383, two.port)]
        with a_journal(one.port) as journal:
            two.stop()
            journal.submit(lambda _reply: None, "SET", SLOW, "to nobody")
            eventually(lambda: not journal.is_up, "the loss to be seen")
            journal.wait_up(WAIT_S)
            reply = journal.call("SET", QUICK, "to somebody")

    assert (8191 < slot_of(SLOW), 8191 < slot_of(QUICK)) == (True, False)
    assert b"OK" == reply
