"""scripts/scale_model.py: every slot has one shard, and every shard as many buckets as the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.mailbox import keys
from gateway.mailbox.cluster.slots import SLOTS, slot_of

ROOT = Path(__file__).parents[2]


def output(*arguments: str) -> list[str]:
    command = [sys.executable, str(ROOT / "scripts/scale_model.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    return done.stdout.splitlines()


@pytest.mark.parametrize("shards", [3, 12])
def test_slots_are_given_out_so_that_buckets_are_spread_evenly(shards: int) -> None:
    lines = [line.partition(": ")[2].split("-") for line in output("--slots", "--shards", str(shards))]
    parts = [range(int(first), int(last) + 1) for first, last in lines]
    buckets = [slot_of(keys.bucket_prefix(bucket)) for bucket in range(keys.BUCKETS)]
    counts = [sum(slot in part for slot in buckets) for part in parts]

    assert list(range(SLOTS)) == [slot for part in parts for slot in part]
    assert shards == len(parts)
    assert max(counts) - min(counts) <= 1


def test_of_what_is_busiest_it_says_first_how_much_more_it_bears() -> None:
    lines = [line for line in output("--gateways", "1") if " full (" in line]
    busy = [float(line.split("%")[0].split()[-1]) for line in lines]

    assert 4 == len(lines)
    assert sorted(busy, reverse=True) == busy
