"""Costly requests of one account."""

import gevent
import pytest

from gateway.limits.bucket import Rate
from gateway.limits.hits import Hits, Limit, Outcome
from gateway.limits.turns import TooManyRequests, Turns
from tests.limits.clock import Clock

ALICE, BOB = "alice@localhost", "bob@localhost"


class House:
    def __init__(self, *, rate: Rate | None = None, at_once: int = 2) -> None:
        self.clock = Clock()
        self.hits = Hits(self.clock)
        self.turns = Turns(
            Limit.ARCHIVE_QUERIES,
            rate=rate,
            at_once=at_once,
            hits=self.hits,
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        self.at_once = 0
        self.most_at_once = 0

    def ask(self, account: str = ALICE) -> None:
        with self.turns.turn(account):
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            gevent.sleep(0)
            self.at_once -= 1


def test_one_account_has_so_many_at_the_same_time_and_the_next_wait() -> None:
    house = House(at_once=2)

    gevent.joinall([gevent.spawn(house.ask) for _ in range(10)], timeout=10, raise_error=True)

    assert 2 == house.most_at_once
    assert house.hits.counts[Limit.ARCHIVE_QUERIES, Outcome.SLOWED] > 0


def test_accounts_do_not_wait_for_each_other() -> None:
    house = House(at_once=1)
    with house.turns.turn(ALICE), house.turns.turn(BOB):
        pass

    assert {} == house.hits.to_json()


def test_too_many_in_a_second_wait_and_far_too_many_are_refused() -> None:
    house = House(rate=Rate(1, 2))
    for _ in range(3):
        house.ask()
    house.clock.sleep = lambda seconds: None  # type: ignore[method-assign]
    house.turns._sleep = house.clock.sleep
    for _ in range(10):
        house.ask()

    with pytest.raises(TooManyRequests):
        house.ask()

    assert [1.0] == house.clock.slept


def test_a_request_that_failed_gives_its_place_back() -> None:
    house = House(at_once=1)
    with pytest.raises(ValueError, match="broken"), house.turns.turn(ALICE):
        raise ValueError("broken")

    house.ask()

    assert 1 == house.most_at_once
