"""Who is let in, and how fast who is in may be."""

from typing import Any

import pytest

from gateway.limits.hits import QUIET_S, Hits, Limit, Outcome
from gateway.limits.logins import FREE
from gateway.limits.process import MAY_BE_EVICTED_S, Limits, TurnedAway
from gateway.sections import LimitSettings
from tests.limits.clock import Clock

ALICE, BOB = "alice@localhost", "bob@localhost"
HOST = "192.0.2.1"


class House:
    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.waiting = 0
        self.hits = Hits(self.clock)
        self.limits = Limits(
            LimitSettings(**settings),
            hits=self.hits,
            waiting=lambda: self.waiting,
            clock=self.clock,
            sleep=self.clock.sleep,
        )


def test_one_address_has_so_many_connections_and_the_next_has_its_own() -> None:
    house = House(max_connections_per_address=2)
    first, _ = house.limits.enter(HOST), house.limits.enter(HOST)

    with pytest.raises(TurnedAway) as away:
        house.limits.enter(HOST)
    house.limits.enter("192.0.2.2")
    first.leave()
    house.limits.enter(HOST)

    assert not away.value.is_busy
    assert {"connections-per-address": {"refused": 1}} == house.hits.to_json()
    assert 3 == house.limits.connections


def test_a_network_of_ipv6_is_one_address() -> None:
    house = House(max_connections_per_address=1)
    house.limits.enter("2001:db8:1:2::3")

    with pytest.raises(TurnedAway):
        house.limits.enter("2001:db8:1:2::4")


def test_one_address_has_so_many_connections_without_a_login() -> None:
    house = House(max_unauthenticated_per_address=1)
    first = house.limits.enter(HOST)

    with pytest.raises(TurnedAway):
        house.limits.enter(HOST)
    first.authenticated(ALICE)
    house.limits.enter(HOST)

    assert 1 == house.limits.unauthenticated


def test_load_balancers_and_own_tools_are_not_counted_by_address() -> None:
    house = House(max_connections_per_address=1, shared_addresses=["198.51.100.1"], unlimited_addresses=["127.0.0.0/8"])

    for host in ("198.51.100.1", "127.0.0.1"):
        for _ in range(5):
            house.limits.enter(host)

    assert 10 == house.limits.connections


def test_whoever_holds_connections_open_without_logging_in_makes_room() -> None:
    house = House(max_unauthenticated=2)
    ended: list[str] = []
    for name in ("slow", "slower"):
        visit = house.limits.enter(HOST)
        visit.on_evicted = lambda name=name: ended.append(name)  # type: ignore[misc]

    with pytest.raises(TurnedAway) as away:
        house.limits.enter(HOST)
    house.clock.now += MAY_BE_EVICTED_S
    house.limits.enter(HOST)

    assert away.value.is_busy
    assert ["slow"] == ended
    assert 2 == house.limits.unauthenticated
    assert {"unauthenticated": {"closed": 1, "refused": 1}} == house.hits.to_json()


def test_an_evicted_connection_is_counted_out_once() -> None:
    house = House(max_unauthenticated=1)
    visit = house.limits.enter(HOST)
    visit.on_evicted = visit.leave
    house.clock.now += MAY_BE_EVICTED_S

    house.limits.enter(HOST)

    assert (1, 1) == (house.limits.connections, house.limits.unauthenticated)


def test_handshakes_of_one_address_take_turns() -> None:
    house = House(address_handshakes=[2, 3])

    for _ in range(5):
        house.limits.enter(HOST).wait_for_handshake()
    house.limits.enter("192.0.2.2").wait_for_handshake()

    assert [0.5, 0.5] == house.clock.slept


def test_a_connection_that_is_too_fast_waits() -> None:
    house = House(connection_stanzas=[10, 100])
    visit = house.limits.enter(HOST)
    visit.authenticated(ALICE)

    assert [0.0, 5.0] == [visit.charge(100, 0), visit.charge(50, 0)]
    assert {"connection-speed": {"slowed": 1}} == house.hits.to_json()


def test_large_stanzas_are_charged_by_their_bytes() -> None:
    house = House(connection_bytes=[1000, 10_000])
    visit = house.limits.enter(HOST)
    visit.authenticated(ALICE)

    assert [0.0, 2.0] == [visit.charge(1, 10_000), visit.charge(1, 2000)]


def test_connections_of_one_account_share_its_speed() -> None:
    house = House(account_stanzas=[10, 100])
    visits = [house.limits.enter(f"192.0.2.{number}") for number in range(3)]
    for visit, account in zip(visits, (ALICE, ALICE, BOB), strict=True):
        visit.authenticated(account)

    assert [0.0, 10.0, 0.0] == [visit.charge(100, 0) for visit in visits]
    assert {"account-speed": {"slowed": 1}} == house.hits.to_json()


def test_to_connect_again_brings_no_fresh_burst_of_an_account() -> None:
    house = House(account_stanzas=[10, 100])
    visit = house.limits.enter(HOST)
    visit.authenticated(ALICE)
    visit.charge(100, 0)
    visit.leave()
    again = house.limits.enter(HOST)
    again.authenticated(ALICE)

    assert 10.0 == again.charge(100, 0)


def test_connections_of_one_address_share_its_speed() -> None:
    house = House(address_stanzas=[100, 100], connection_stanzas=[], account_stanzas=[])
    visits = [house.limits.enter(HOST), house.limits.enter(HOST)]
    for visit, account in zip(visits, (ALICE, BOB), strict=True):
        visit.authenticated(account)

    assert [0.0, 1.0] == [visit.charge(100, 0) for visit in visits]


def test_before_the_login_less_is_enough() -> None:
    house = House(unauthenticated_stanzas=[10, 50], unauthenticated_bytes=[1000, 5000])
    visit = house.limits.enter(HOST)

    assert 1.0 == visit.charge(60, 0)
    visit.authenticated(ALICE)
    assert 0.0 == visit.charge(100, 100_000)


def test_own_tools_and_named_accounts_are_as_fast_as_they_like() -> None:
    house = House(
        connection_stanzas=[1, 1],
        account_stanzas=[1, 1],
        account_failed_logins=[1, 1],
        unlimited_jids=[BOB],
        unlimited_addresses=["127.0.0.0/8"],
    )
    tool, bot = house.limits.enter("127.0.0.1"), house.limits.enter(HOST)
    tool.authenticated(ALICE)
    bot.authenticated(BOB)

    assert [0.0, 0.0] == [tool.charge(1000, 1_000_000), bot.charge(1000, 1_000_000)]
    assert FREE is tool.attempt(ALICE)
    assert FREE is not bot.attempt(BOB)


def test_the_speed_of_normal_apps_is_not_touched_by_the_defaults() -> None:
    """A device that logs in, asks for the keys of 200 contacts with five devices each, and sends a photo in-band."""
    house = House()
    visit = house.limits.enter(HOST)
    visit.wait_for_handshake()
    before = visit.charge(10, 5000)
    visit.authenticated(ALICE)
    charged = [visit.charge(100, 20_000) for _ in range(12)] + [visit.charge(40, 1_000_000)]

    assert [0.0] * 14 == [before, *charged]
    assert {} == house.hits.to_json()


def test_an_office_behind_one_address_is_not_touched_by_the_defaults() -> None:
    """500 people come back at once after an outage, and each sends what a device sends then."""
    house = House()
    visits = [house.limits.enter(HOST) for _ in range(500)]
    for number, visit in enumerate(visits):
        visit.wait_for_handshake()
        visit.attempt(f"user{number}@localhost").succeeded()
        visit.authenticated(f"user{number}@localhost")

    assert [0.0] * 500 == [visit.charge(100, 50_000) for visit in visits]
    assert [] == house.clock.slept


def test_a_limit_is_logged_once_a_minute_for_each_address(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    hits = Hits(clock)
    for _ in range(10):
        for address in ("192.0.2.1", "192.0.2.2"):
            hits.count(Limit.STANZA, Outcome.CLOSED, address)
    at_first = len(caplog.records)
    clock.now += QUIET_S
    hits.count(Limit.STANZA, Outcome.CLOSED, "192.0.2.1")

    assert [2, 3] == [at_first, len(caplog.records)]
    assert {"stanza": {"closed": 21}} == hits.to_json()
