"""The supervisor's parts that need no process."""

from __future__ import annotations

import io
import os

import gevent
import pytest

from gateway.supervisor import notify_ready
from gateway.supervisor.backoff import AT_ONCE, LONGEST_DELAY_S, Backoff
from gateway.supervisor.printer import LineSplitter, Printer
from gateway.supervisor.readiness import READY_FD


def test_a_process_that_served_is_restarted_at_once_however_often_it_dies() -> None:
    backoff = Backoff()

    assert [0.0] * 20 == [backoff.died(served_s=5.0) for _ in range(20)]


def test_a_process_that_dies_at_its_start_is_restarted_ever_more_slowly() -> None:
    backoff = Backoff()
    delays = [backoff.died(served_s=0.0) for _ in range(AT_ONCE + 8)]

    assert [0.0] * AT_ONCE + [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0] == delays
    assert max(delays) == LONGEST_DELAY_S


def test_serving_once_makes_up_for_earlier_deaths() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.died(served_s=0.0)
    backoff.died(served_s=60.0)

    assert 0.0 == backoff.died(served_s=0.0)


def test_output_is_cut_into_lines_however_it_arrives() -> None:
    splitter = LineSplitter()
    lines = [line for piece in (b"on", b"e\r\ntw", b"o\n\nthr") for line in splitter.feed(piece)] + splitter.end()

    assert [b"one", b"two", b"", b"thr"] == lines


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    splitter = LineSplitter()
    lines = [line for _ in range(10) for line in splitter.feed(b"x" * 10_000)]

    assert 5 == len(lines)


def test_a_reader_that_went_away_kills_nobody() -> None:
    stream = io.BytesIO()
    printer = Printer(stream)
    stream.close()

    printer.line("gateway", "still here")


def test_readiness_is_one_line_in_the_pipe_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    monkeypatch.setenv(READY_FD, str(write))
    notify_ready()
    notify_ready()
    # COMPAT(gevent, 25.8): its os.close takes effect when the loop has turned once.
    gevent.sleep(0.001)
    told = os.read(read, 100), os.read(read, 100)
    os.close(read)

    assert (b"ready\n", b"") == told


def test_readiness_without_a_supervisor_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READY_FD, raising=False)

    notify_ready()
