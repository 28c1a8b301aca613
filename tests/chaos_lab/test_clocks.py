"""Clocks of processes that are wrong, and jump while they run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.chaos_lab import clocks
from scripts.chaos_lab.clocks import Clocks, NoFaketime
from scripts.chaos_lab.nemesis import CLOCK, KILL, TERM, schedule
from scripts.chaos_lab.plan import Plan

TELL = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
NOTICED_AT_LAST_S = 10 * clocks.NOTICED_S


def test_a_clock_jumps_while_its_process_runs_and_what_measures_durations_does_not(tmp_path: Path) -> None:
    try:
        jumping = Clocks(tmp_path / "clocks", may_jump=True)
    except NoFaketime as error:
        pytest.skip(f"a clock that jumps is libfaketime's work, which is not everywhere: {error}")
    environ = {**os.environ, **jumping.environ("gateway.1")}
    with subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def off_by() -> tuple[float, float]:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            day, even = map(float, process.stdout.readline().split())
            return day - time.time(), even - time.monotonic()

        def noticed(former: tuple[float, float]) -> tuple[float, float]:
            deadline = time.monotonic() + NOTICED_AT_LAST_S
            while (now := off_by())[0] == pytest.approx(former[0], abs=1.0) and time.monotonic() < deadline:
                time.sleep(0.05)
            return now

        before = off_by()
        whose, seconds = jumping.jump("gateway", random.Random(1))
        wrong = noticed(before)
        jumping.set_right()
        after = noticed(wrong)
        process.stdin.close()

    assert "gateway.1" == whose and 1 < abs(seconds) <= clocks.MOST_S
    assert pytest.approx([0.0, seconds, 0.0], abs=1.0) == [before[0], wrong[0], after[0]]
    assert pytest.approx([0.0] * 3, abs=1.0) == [before[1], wrong[1], after[1]]


def test_nobody_s_clock_jumps_where_nobody_asked_for_it(tmp_path: Path) -> None:
    right = Clocks(tmp_path / "clocks", may_jump=False)

    assert {} == right.environ("gateway.1")
    assert ("", 0.0) == right.jump("gateway", random.Random(1))


def test_who_wants_clocks_to_jump_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "PLACES", ())

    with pytest.raises(NoFaketime, match="apt install faketime"):
        Clocks(tmp_path, may_jump=True)


def test_jumps_come_beside_the_kills_that_were_planned(tmp_path: Path) -> None:
    ways = [strike.way for strike in schedule(Plan(tmp_path, kills=50, clocks=10), random.Random(3))]

    assert 50 == ways.count(KILL) + ways.count(TERM)
    assert 20 < ways.count(CLOCK)
    assert CLOCK not in [strike.way for strike in schedule(Plan(tmp_path, kills=50), random.Random(3))]
