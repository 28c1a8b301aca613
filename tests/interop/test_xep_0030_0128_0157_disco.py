"""Service discovery with slixmpp and aioxmpp as they are: the server, accounts, forms."""

from collections.abc import Iterator

import pytest

from gateway.xmpp import ns
from tests.support.deeds import deed
from tests.support.iq import let_see
from tests.support.processes import DOMAIN, Server, running
from tests.support.runners import Library

ABUSE = ["mailto:abuse@localhost", "xmpp:abuse@localhost"]

both = pytest.mark.parametrize("library", ["slixmpp", "aioxmpp"])


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with contact addresses."""
    with running(tmp_path_factory.mktemp("disco"), settings={"contact": {"abuse": ABUSE}}) as server:
        server.stock_accounts(6)
        yield server


@both
def test_it_learns_what_the_server_is_and_whom_to_turn_to(telling: Server, library: Library) -> None:
    found = deed(telling, library, telling.account(), "info", DOMAIN)

    assert ["server", "im"] in found["identities"]
    assert {ns.DISCO_INFO, ns.VERSION, ns.EXTERNAL_SERVICES} <= set(found["features"])
    assert {"FORM_TYPE": ["http://jabber.org/network/serverinfo"], "abuse-addresses": ABUSE} == found["fields"]


def test_its_own_reader_of_extensions_reads_the_form(telling: Server) -> None:
    found = deed(telling, "slixmpp", telling.account(), "extended", DOMAIN)

    assert ABUSE == found["abuse-addresses"]


@both
def test_it_finds_the_servers_hosts(server: Server, library: Library) -> None:
    assert f"push.{DOMAIN}" in deed(server, library, server.account(), "items", DOMAIN)


@both
def test_it_sees_a_contacts_account_and_no_stranger_s(server: Server, library: Library) -> None:
    juliet, romeo, stranger = server.account(), server.account(), server.account()
    let_see(server, juliet, romeo)

    assert ["account", "registered"] in deed(server, library, romeo, "info", juliet.jid)["identities"]
    assert {"error": "service-unavailable"} == deed(server, library, stranger, "info", juliet.jid)
