"""A breaker per credential."""

from __future__ import annotations

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
    assert 5.0 == breaker.wait_s()


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
