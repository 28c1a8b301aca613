"""What clients see of limits, over real sockets. Those from 127.0.0.1 are the operator's own, as by default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

import gevent
import pytest

from gateway.demo.stream import StreamEnded
from gateway.mailbox import keys
from gateway.sections import LimitSettings
from gateway.xmpp import ns
from tests.limits.guests import Guest, close_guests
from tests.support.phone import Phone, close_phones, stanza
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import DOMAIN

LIMITS = {
    "unlimited_addresses": ["127.0.0.1"],
    "max_connections_per_address": 6,
    "max_unauthenticated_per_address": 3,
    "negotiation_timeout": 9.0,
    "header_timeout": 2.0,
    "authentication_timeout": 3.0,
    "connection_stanzas": [100, 100],
    "account_failed_logins": [60, 2],
    "address_failed_logins": [600, 600],
}

PING = f"<ping xmlns='{ns.PING}'/>"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    with pieces(tmp_path_factory.mktemp("limits"), settings={"limits": LIMITS}) as server:
        server.stock_accounts(20)
        yield server


@pytest.fixture(autouse=True)
def _nobody_is_left(house: Pieces) -> Iterator[None]:
    yield
    close_guests()
    close_phones()

    assert [] == house.faults()


def hits(house: Pieces) -> dict[str, dict[str, int]]:
    with house.store as store:
        (name,) = store.scan_iter(f"{keys.LIMITS}*")
        found: dict[str, dict[str, int]] = json.loads(store.get(name))["hits"]
    return found


def seen(house: Pieces, limit: str, outcome: str) -> None:
    """Returns when the gateway has reported that this limit did something."""
    eventually(lambda: hits(house).get(limit, {}).get(outcome, 0) > 0, f"{limit} {outcome} in the status", 20)


def logged_in(house: Pieces, host: str) -> Guest:
    guest = Guest(house, host)
    guest.connect()

    assert "" == guest.log_in(house.account())
    return guest


def test_limits_are_told_before_the_login_and_after_it(house: Pieces) -> None:
    """XEP-0478. Before TLS nothing but STARTTLS is offered (RFC 6120 section 5.3.1)."""
    guest = Guest(house, "127.0.1.1")
    guest.connect()
    before = guest.limits()
    guest.log_in(house.account())

    assert ("10000", "3") == before
    assert (str(LimitSettings().max_stanza_bytes), "900") == guest.limits()


def test_the_stanza_that_is_told_to_be_the_largest_is_taken_and_a_larger_one_is_not(house: Pieces) -> None:
    guest = logged_in(house, "127.0.1.2")
    most = int(guest.limits()[0] or 0)
    guest.bind("a")
    empty = f"<iq type='get' id='p' to='{DOMAIN}'><ping xmlns='{ns.PING}'></ping></iq>"
    largest = empty.replace("></ping>", ">" + " " * (most - len(empty)) + "</ping>")

    assert "result" == guest.request(largest, stanza("iq")).get("type")
    guest.send(largest.replace("</ping>", " </ping>"))
    assert "policy-violation" == guest.how_it_ends()
    seen(house, "stanza", "closed")


def test_an_address_with_too_many_strangers_is_told_so_and_others_are_served(house: Pieces) -> None:
    for _ in range(3):
        Guest(house, "127.0.2.1").reach()
    fourth = Guest(house, "127.0.2.1").reach()

    assert "policy-violation" == fourth.how_it_ends()
    logged_in(house, "127.0.2.2")
    seen(house, "unauthenticated-per-address", "refused")


def test_an_address_has_so_many_connections_and_gets_a_place_back_when_one_ends(house: Pieces) -> None:
    guests = [logged_in(house, "127.0.2.3") for _ in range(6)]
    seventh = Guest(house, "127.0.2.3").reach()

    assert "policy-violation" == seventh.how_it_ends()
    guests[0].cut()
    eventually(lambda: _may_connect(house, "127.0.2.3"), "a place")
    seen(house, "connections-per-address", "refused")


def _may_connect(house: Pieces, host: str) -> bool:
    guest = Guest(house, host)
    with suppress(StreamEnded):
        guest.connect()
        return True
    return False


@pytest.mark.parametrize("said", ["", "<?xml version='1.0'?><stream:str"])
def test_whoever_does_not_open_a_stream_in_time_is_gone(house: Pieces, said: str) -> None:
    guest = Guest(house, "127.0.3.1").reach()
    guest.send(said)

    assert "connection-timeout" == guest.how_it_ends()
    seen(house, "negotiation-time", "closed")


def test_bytes_that_come_one_by_one_win_no_time(house: Pieces) -> None:
    guest = Guest(house, "127.0.3.2").reach()

    def drip() -> None:
        with suppress(StreamEnded):
            while True:
                guest.send(b" ")
                gevent.sleep(0.05)

    dripping = gevent.spawn(drip)
    ends = guest.how_it_ends()
    dripping.kill()

    assert "connection-timeout" == ends


def test_whoever_does_not_log_in_in_time_is_gone(house: Pieces) -> None:
    guest = Guest(house, "127.0.3.3")
    guest.connect()
    guest.send(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AA")

    assert "connection-timeout" == guest.how_it_ends()


def test_a_client_that_is_too_fast_is_read_more_slowly_and_loses_nothing(house: Pieces) -> None:
    guest = logged_in(house, "127.0.4.1")
    guest.bind("fast")
    other = Phone(house, house.account()).bind("other")

    for number in range(400):
        guest.send(f"<iq type='get' id='{number}' to='{DOMAIN}'>{PING}</iq>")
    other.round_trip()
    answered = [guest.receive().get("id") for _ in range(400)]

    assert [str(number) for number in range(400)] == answered
    seen(house, "connection-speed", "slowed")


def test_wrong_passwords_take_time_and_do_not_shut_the_owner_out(house: Pieces) -> None:
    account = house.account()
    logged_in_before = Guest(house, "127.0.5.1")
    logged_in_before.connect()
    at_home = logged_in_before.log_in(account)
    for number in range(4):
        guest = Guest(house, f"127.0.6.{number}")
        guest.connect()
        assert "not-authorized" in guest.log_in(account, "wrong")
    owner = Guest(house, "127.0.5.9")
    owner.connect()

    assert ("", "") == (at_home, owner.log_in(account))
    seen(house, "failed-logins-per-account", "slowed")


def test_own_tools_run_into_nothing(house: Pieces) -> None:
    phones = [Phone(house, house.account()) for _ in range(8)]

    assert 8 == len({phone.bind("a").jid for phone in phones})


def test_operators_see_who_runs_into_limits(house: Pieces) -> None:
    Guest(house, "127.0.7.1").reach().how_it_ends()
    seen(house, "negotiation-time", "closed")

    (report,) = json.loads(house.command("status", "--json"))["limits"].values()
    page = house.command("status")

    assert report["hits"]["negotiation-time"]["closed"] > 0
    assert "negotiation-time closed" in page
    assert "ms late" in page
