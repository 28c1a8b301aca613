"""A short run of scripts/chaos: two gateways, a bad network, kills of every kind, and every rule kept.

`WAKEGATE_CHAOS_MINUTES` makes it longer, and as much larger.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.chaos_lab import history
from scripts.chaos_lab.checker import violations
from scripts.chaos_lab.ledger import Ledger

MINUTES = float(os.environ.get("WAKEGATE_CHAOS_MINUTES", "0.2"))


@pytest.mark.slow
@pytest.mark.timeout(240 + 360 * MINUTES)
def test_nothing_is_lost_doubled_or_in_disorder_whatever_dies(tmp_path: Path) -> None:
    scale = max(1, round(MINUTES / 0.2))
    words = {
        "gateways": 2,
        "push": 1,
        "sweepers": 1,
        "archivers": 0,
        "accounts": 12,
        "messages": 400 * scale,
        "kills": 5 * scale,
        "minutes": MINUTES,
        "seed": 5,
        "settle-s": 60,
    }
    options = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    line = [sys.executable, "-m", "scripts.chaos_lab", "run", *options, "--directory", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    ledger = Ledger.of(history.read(tmp_path / "history"))

    assert [] == list(violations(ledger)), done.stdout
    assert 0 == done.returncode, done.stderr
    assert 400 * scale == len(ledger.messages)
    assert 5 * scale <= sum(strike.what.startswith(("kill", "term")) for strike in ledger.strikes)
