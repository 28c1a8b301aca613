"""Guessing passwords gets slow, whoever does it, and shuts nobody out."""

import pytest

from gateway.limits.bucket import Rate
from gateway.limits.hits import Hits, Limit, Outcome
from gateway.limits.logins import LONGEST_WAIT_S, Attempt, Logins, TooManyTries
from tests.limits.clock import Clock

ALICE, HOME, STREET = "alice@localhost", "192.0.2.0/24", "198.51.100.0/24"


class House:
    """`per_address` and `per_account`: tries a minute, burst."""

    def __init__(self, *, per_address: tuple[int, int] = (60, 5), per_account: tuple[int, int] = (12, 3)) -> None:
        self.clock = Clock()
        self.hits = Hits(self.clock)
        self.logins = Logins(
            per_address=Rate.of(per_address, period_s=60),
            per_account=Rate.of(per_account, period_s=60),
            hits=self.hits,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def fail(self, account: str = ALICE, address: str = "203.0.113.1", neighbourhood: str = "203.0.113.0/24") -> float:
        """How long a wrong try took, -1 if it was not looked at."""
        slept = len(self.clock.slept)
        try:
            self.logins.attempt(address=address, neighbourhood=neighbourhood, account=account).failed()
        except TooManyTries:
            return -1
        return sum(self.clock.slept[slept:])

    def begin(self, address: str, *, account: str = ALICE) -> Attempt:
        return self.logins.attempt(address=address, neighbourhood="192.0.2.0/24", account=account)

    def succeed(self, address: str, neighbourhood: str, account: str = ALICE) -> float:
        slept = len(self.clock.slept)
        self.logins.attempt(address=address, neighbourhood=neighbourhood, account=account).succeeded()
        return sum(self.clock.slept[slept:])


def test_the_first_wrong_tries_cost_nothing_the_next_ones_time() -> None:
    house = House()

    assert [0.0, 0.0, 0.0, 2.5, 5.0, 5.0] == [house.fail() for _ in range(6)]


def test_right_passwords_cost_nothing_however_often() -> None:
    house = House()

    assert 0.0 == sum(house.succeed("192.0.2.1", HOME) for _ in range(100))


def test_tries_of_many_accounts_from_one_address_get_slow() -> None:
    house = House()
    took = [house.fail(f"user{number}@localhost") for number in range(7)]

    assert pytest.approx([0.0] * 5 + [0.1, 1.0]) == took
    assert 0.0 == house.fail("other@localhost", "203.0.113.2")


def test_who_guesses_from_elsewhere_does_not_slow_the_owner_at_home() -> None:
    house = House()
    house.succeed("192.0.2.1", HOME)

    for number in range(50):
        house.fail(address=f"203.0.113.{number}")

    assert 0.0 == house.succeed("192.0.2.99", HOME)


def test_the_owner_in_a_new_place_gets_in_though_somebody_guesses() -> None:
    house = House()

    for _ in range(20):
        house.fail()

    assert 0 < house.succeed("198.51.100.1", STREET) <= LONGEST_WAIT_S


def test_guessing_from_home_gets_slow_as_well() -> None:
    house = House(per_address=(6000, 6000))
    house.succeed("192.0.2.1", HOME)

    assert [0.0, 0.0, 0.0, 2.5] == [house.fail(address="192.0.2.66", neighbourhood=HOME) for _ in range(4)]


def test_parallel_tries_gain_a_part_and_pay_for_it_later() -> None:
    house = House(per_address=(6000, 6000))
    began = [house.begin(f"198.51.100.{number}") for number in range(6)]
    for attempt in began:
        attempt.failed()

    assert 0.0 == sum(house.clock.slept)
    with pytest.raises(TooManyTries):
        house.begin("198.51.100.7")
    assert 1 == house.hits.counts[Limit.FAILED_LOGINS_PER_ACCOUNT, Outcome.REFUSED]


def test_who_waits_for_an_account_waits_in_the_order_of_coming() -> None:
    """Each sleeps until its own token comes: time does not go on between them."""
    house = House(per_address=(6000, 6000))
    times: list[float] = []

    def sleep(seconds: float) -> None:
        times.append(seconds)
        house.begin(f"198.51.100.{len(times)}")

    for _ in range(3):
        house.fail()
    house.logins._sleep = sleep
    with pytest.raises(TooManyTries):
        house.begin("203.0.113.1")

    assert [2.5, 5.0, 7.5, 10.0, 12.5, 15.0] == times


def test_an_office_that_comes_back_at_once_is_not_slowed() -> None:
    """500 tries through one address are under way before the first is right; nobody is known after a restart."""
    house = House(per_address=(30, 100), per_account=(12, 30))
    began = [house.begin("192.0.2.1", account=f"user{number}@localhost") for number in range(500)]
    for attempt in began:
        attempt.succeeded()

    assert [] == house.clock.slept
    assert 0.0 == sum(house.fail(f"user{number}@localhost", "192.0.2.1", HOME) for number in range(500, 600))


def test_what_nobody_can_judge_is_no_failure() -> None:
    """The store was away."""
    house = House()
    for _ in range(100):
        house.begin("203.0.113.1").dropped()

    assert 0.0 == house.fail()


def test_who_is_known_is_not_slowed_by_others_at_the_same_address() -> None:
    house = House(per_address=(1, 1))
    house.succeed("192.0.2.1", HOME)
    for number in range(20):
        house.fail(f"user{number}@localhost", "192.0.2.1", HOME)

    assert 0.0 == house.succeed("192.0.2.1", HOME)


def test_one_address_does_not_fill_the_line_before_an_account() -> None:
    house = House(per_address=(6000, 6000))
    inner: list[float] = []

    def sleep(seconds: float) -> None:
        if not inner:
            inner.append(0.0)
            inner[0] = house.fail()  # the same address, while its first try waits

    house.logins._sleep = sleep
    for _ in range(4):
        house.fail()

    assert [-1] == inner


def test_a_refused_try_costs_nobody_a_token() -> None:
    house = House(per_address=(1, 1))
    for name in ("first", "second"):
        house.fail(f"{name}@localhost")

    with pytest.raises(TooManyTries):
        house.logins.attempt(address="203.0.113.1", neighbourhood="203.0.113.0/24", account=ALICE)

    assert [0.0, 0.0, 0.0] == [house.fail(address=f"198.51.100.{number}") for number in range(3)]


def test_without_limits_nothing_is_counted() -> None:
    clock = Clock()
    logins = Logins(per_address=None, per_account=None, hits=Hits(clock), clock=clock, sleep=clock.sleep)

    for _ in range(1000):
        logins.attempt(address="203.0.113.1", neighbourhood="203.0.113.0/24", account=ALICE)

    assert [] == clock.slept
