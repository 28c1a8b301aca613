"""What slixmpp and aioxmpp as they are ask of a server: version, time, uptime, services; and whether it is there."""

import time
from collections.abc import Iterator

import pytest

from gateway import __version__
from tests.support.deeds import deed
from tests.support.iq import let_see
from tests.support.phone import Phone
from tests.support.processes import DOMAIN, Server, running
from tests.support.runners import Library

both = pytest.mark.parametrize("library", ["slixmpp", "aioxmpp"])

TURN = {"type": "turn", "host": "turn.localhost", "port": 3478, "transport": "udp", "secret": "north"}


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tells its system, and knows a TURN server."""
    settings = {"version": {"show_os": True}, "external_services.services.turn": TURN}
    with running(tmp_path_factory.mktemp("information"), settings=settings) as server:
        server.stock_accounts(6)
        yield server


@both
def test_it_reads_the_version(telling: Server, library: Library) -> None:
    name, version, system = deed(telling, library, telling.account(), "version", DOMAIN)

    assert ("Wakegate", __version__) == (name, version)
    assert system


@both
def test_it_pings_the_server_and_its_own_account(server: Server, library: Library) -> None:
    account = server.account()

    assert True is deed(server, library, account, "ping", DOMAIN)
    assert True is deed(server, library, account, "ping", account.jid)


def test_it_reads_the_time(server: Server) -> None:
    before = time.time()

    assert before - 2 <= deed(server, "slixmpp", server.account(), "time", DOMAIN) <= time.time() + 2


def test_it_reads_uptime_and_a_contacts_last_words(server: Server) -> None:
    juliet, romeo = server.account(), server.account()
    let_see(server, juliet, romeo)
    phone = Phone(server, juliet).bind().available()
    phone.send("<presence type='unavailable'><status>bye &amp; bye</status></presence>")
    phone.round_trip()
    phone.cut()

    uptime, _ = deed(server, "slixmpp", romeo, "last", DOMAIN)
    absent, status = deed(server, "slixmpp", romeo, "last", juliet.jid)

    assert 0 <= uptime < 3600
    assert (True, "bye & bye") == (0 <= absent < 60, status)
    assert {"error": "service-unavailable"} == deed(server, "slixmpp", server.account(), "last", juliet.jid)


def test_it_reads_services_and_their_credentials(telling: Server) -> None:
    account = telling.account()
    (listed,) = deed(telling, "slixmpp", account, "services", DOMAIN)
    (asked,) = deed(telling, "slixmpp", account, "services", DOMAIN, "turn.localhost", "turn")

    assert ("turn", "turn.localhost", "3478") == (listed["type"], listed["host"], listed["port"])
    assert asked["username"].endswith(f":{account.name}")
    assert {"error": "item-not-found"} == deed(telling, "slixmpp", account, "services", DOMAIN, "other", "turn")
