"""Every input that is kept, in every run: what was a fault once stays mended."""

from __future__ import annotations

import pytest

from tests.fuzz.fault import in_time
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import MOST_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_that_is_kept_is_a_fault(name: str) -> None:
    target = TARGETS[name]

    with target.begin() as feed:
        for file in target.kept():
            with in_time():
                feed(file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_there_are_inputs_of_every_target_and_they_are_small(name: str) -> None:
    kept = TARGETS[name].kept()

    assert kept
    assert sum(file.stat().st_size for file in kept) < 40_000
    assert max(file.stat().st_size for file in kept) <= 2 * MOST_BYTES
