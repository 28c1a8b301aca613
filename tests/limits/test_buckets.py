"""Token buckets and the tables in which they are kept."""

from gateway.limits.bucket import LONGEST_DEBT_S, Rate, TokenBucket, made, take
from gateway.limits.table import Table


def test_a_burst_is_free_and_what_comes_behind_it_waits_for_its_tokens() -> None:
    bucket = TokenBucket(Rate(10, 50), now=0)

    assert [0.0, 0.0, 1.0, 2.0] == [bucket.take(count, 0) for count in (30, 20, 10, 10)]


def test_tokens_come_back_up_to_the_burst() -> None:
    bucket = TokenBucket(Rate(10, 50), now=0)
    bucket.take(50, 0)

    assert [0.0, 0.0, 0.1] == [bucket.take(20, 2), bucket.take(50, 1000), bucket.take(1, 1000)]


def test_the_debt_of_a_flood_is_bounded() -> None:
    bucket = TokenBucket(Rate(10, 50), now=0)

    assert LONGEST_DEBT_S == bucket.take(1_000_000, 0)
    assert not bucket.is_full(LONGEST_DEBT_S)
    assert bucket.is_full(LONGEST_DEBT_S + 5)


def test_what_was_not_needed_comes_back() -> None:
    bucket = TokenBucket(Rate(1, 1), now=0)
    bucket.take(1, 0)
    bucket.give_back(1)

    assert 0.0 == bucket.take(1, 0)


def test_an_empty_pair_is_no_limit() -> None:
    bucket = made(Rate.of([]), 0)

    assert 0.0 == take(bucket, 1e9, 0)


class Remembered:
    def __init__(self, now: float) -> None:
        self.made_at = now
        self.users = 0

    def says_nothing(self, now: float) -> bool:
        return now - self.made_at > 10


def test_a_table_forgets_what_says_nothing_but_nothing_that_is_in_use() -> None:
    now = 0.0
    table = Table(Remembered, most=4, clock=lambda: now)
    table.get("used").users += 1
    table.get("old")
    now = 11.0
    table.get("new")
    table.tidy()

    assert 2 == len(table)
    assert 11.0 == table.get("old").made_at
    assert 0.0 == table.get("used").made_at


def test_a_table_does_not_grow_for_whoever_has_many_addresses() -> None:
    table = Table(Remembered, most=8, clock=lambda: 0.0)
    table.get("used").users += 1
    kept = table.get("used")

    for number in range(1000):
        table.get(f"address {number}")

    assert len(table) <= 8
    assert table.get("used") is kept
