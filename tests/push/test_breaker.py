"""A breaker per credential."""

from __future__ import annotations

import heapq
import random

from hypothesis import given
from hypothesis import strategies as st

from workers.push.breaker import Breaker, BreakerRules, State


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def a_breaker() -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(BreakerRules(faults=3, open_s=10, open_most_s=25, probe_s=5), clock=clock), clock


def test_single_faults_do_not_open_it() -> None:
    breaker, _ = a_breaker()
    for _ in range(5):
        breaker.faulted("500")
        breaker.faulted("500")
        breaker.worked()

    assert State.CLOSED is breaker.state
    assert 0.0 == breaker.wait_s()


def test_faults_in_a_row_open_it() -> None:
    breaker, _ = a_breaker()
    for _ in range(3):
        breaker.faulted("503")

    assert State.OPEN is breaker.state
    assert 10.0 == breaker.wait_s()
    assert "503" == breaker.reason


def test_a_refused_credential_opens_it_at_once() -> None:
    breaker, _ = a_breaker()
    breaker.trip("InvalidProviderToken")

    assert State.OPEN is breaker.state


def test_half_open_lets_one_probe_through() -> None:
    breaker, clock = a_breaker()
    breaker.trip("x")
    clock.now += 10

    assert State.HALF_OPEN is breaker.state
    assert 0.0 == breaker.wait_s()
    assert 1.0 == breaker.wait_s()


def test_a_probe_that_never_comes_back_is_replaced() -> None:
    breaker, clock = a_breaker()
    breaker.trip("x")
    clock.now += 10
    breaker.wait_s()
    clock.now += 5

    assert 0.0 == breaker.wait_s()


def test_a_probe_that_works_closes_it() -> None:
    breaker, clock = a_breaker()
    breaker.trip("x")
    clock.now += 10
    breaker.wait_s()
    breaker.worked()

    assert State.CLOSED is breaker.state
    assert 0.0 == breaker.wait_s()


def test_failed_probes_open_it_for_longer_each_time_up_to_a_limit() -> None:
    breaker, clock = a_breaker()
    breaker.trip("x")
    waits = []
    for _ in range(3):
        clock.now += breaker.wait_s()
        assert 0.0 == breaker.wait_s()
        breaker.faulted("still down")
        waits.append(breaker.wait_s())

    assert [20.0, 25.0, 25.0] == waits


def test_late_faults_do_not_prolong_an_open_breaker() -> None:
    breaker, clock = a_breaker()
    breaker.trip("x")
    clock.now += 9
    for _ in range(5):
        breaker.faulted("500")

    assert 1.0 == breaker.wait_s()


def after_an_outage(backlog: int, rules: BreakerRules, *, jitter_s: float) -> list[float]:
    """Ten minutes down, with this many pushes that come whenever they are told to; when each was let through, seconds
    after the breaker closed.
    """
    clock, dice = Clock(), random.Random(1)
    breaker = Breaker(rules, clock=clock)
    back_at = clock.now + 600
    due = [(clock.now + dice.uniform(0, 600), number) for number in range(backlog)]
    heapq.heapify(due)
    breaker.trip("down")
    closed_at, sent = 0.0, []
    while due:
        clock.now, number = heapq.heappop(due)
        wait = breaker.wait_s()
        if wait:
            heapq.heappush(due, (clock.now + wait + dice.uniform(0, jitter_s), number))
        elif clock.now < back_at:
            breaker.faulted("down")
            heapq.heappush(due, (clock.now + 10, number))
        else:
            if breaker.state is not State.CLOSED:
                closed_at = clock.now
            breaker.worked()
            sent.append(clock.now - closed_at)
    return sent


def test_after_an_outage_what_has_piled_up_goes_out_slowly_at_first() -> None:
    rules = BreakerRules(open_s=30, open_most_s=120, ramp_first=10, ramp_double_s=10, ramp_s=60)
    sent = after_an_outage(5000, rules, jitter_s=2.0)
    per_ten_s = [sum(1 for at in sent if 10 * ten <= at < 10 * ten + 10) for ten in range(6)]

    assert 5000 == len(sent)
    assert [True] * 6 == [many <= 10 * 10 * 2**ten + 20 for ten, many in enumerate(per_ten_s)]
    assert max(sent) < 90


def test_a_new_push_is_held_back_by_the_slow_start_and_a_call_is_not() -> None:
    breaker, clock = a_breaker()
    breaker.trip("x")
    clock.now += 10
    breaker.wait_s()
    breaker.worked()
    waits = [breaker.wait_s() for _ in range(30)]

    assert [0.0] * 10 == waits[:10]
    assert 0 < waits[10] < waits[29] < 60
    assert 0.0 == breaker.wait_s(may_wait=False)
    clock.now += 60
    assert 0.0 == breaker.wait_s()
    assert not breaker.is_ramping


@given(st.floats(0, 60), st.integers(1, 5000))
def test_the_moment_of_a_push_is_when_so_many_are_admitted(since: float, number: int) -> None:
    rules = BreakerRules()
    moment = rules.moment(number)

    assert moment == rules.ramp_s or rules.admitted(moment) >= number - 0.001
    assert rules.moment(rules.admitted(since)) <= since + 0.001


def test_an_outage_is_probed_sooner_than_a_refused_credential() -> None:
    waits = []
    for is_outage in (True, False):
        clock = [0.0]
        breaker = Breaker(BreakerRules(faults=1), clock=lambda now=clock: now[0])
        for _ in range(8):
            (breaker.faulted if is_outage else breaker.trip)("down")
            opened_at = clock[0]
            while breaker.state is State.OPEN:
                clock[0] += 1.0
            assert 0.0 == breaker.wait_s()
        waits.append(clock[0] - opened_at)

    assert [120.0, 900.0] == waits
