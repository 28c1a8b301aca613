"""Links that break again and again while people talk."""

import random
from pathlib import Path

import gevent
import pytest

from tests.support.crowd import a_crowd
from tests.support.processes import running


@pytest.mark.slow
def test_links_that_break_while_people_talk_cost_no_message(tmp_path: Path) -> None:
    rng = random.Random(7)
    with running(tmp_path) as server, a_crowd(server, 8, rng) as crowd:

        def strike() -> None:
            for _ in range(8):
                gevent.sleep(rng.uniform(0.05, 0.3))
                crowd.cut_some()

        tallies = [crowd.talk(100, 1.5, strike) for _ in range(3)]

    assert [] == [tally for tally in tallies if not tally.is_clean]
    assert sum(tally.resumed for tally in tallies) > 20
