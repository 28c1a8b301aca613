"""XEP-0030 on the wire: the server, its hosts, accounts, nodes; and what strangers are told, which is nothing."""

import pytest

from gateway.xmpp import ns
from tests.support.iq import ask, block, error_of, features, info, let_see, refusal, result
from tests.support.phone import Phone
from tests.support.processes import DOMAIN, Server

INFO = f"<query xmlns='{ns.DISCO_INFO}'/>"
ITEMS = f"<query xmlns='{ns.DISCO_ITEMS}'/>"


def on(server: Server, resource: str = "phone") -> Phone:
    return Phone(server, server.account()).bind(resource)


def jids(phone: Phone, to: str) -> list[str | None]:
    return [item.get("jid") for item in result(phone, ITEMS, to=to)]


def test_the_server_says_what_it_is_and_can(server: Server) -> None:
    query = info(on(server))

    identity = query.find(f"{{{ns.DISCO_INFO}}}identity")
    assert identity is not None
    assert ("server", "im") == (identity.get("category"), identity.get("type"))
    assert {ns.DISCO_INFO, ns.DISCO_ITEMS, ns.PING, ns.VERSION, ns.TIME} <= features(query)


def test_the_servers_items_are_its_hosts(server: Server) -> None:
    assert f"push.{DOMAIN}" in jids(on(server), DOMAIN)


def test_a_host_tells_of_itself_alone(server: Server) -> None:
    told = features(info(on(server), f"push.{DOMAIN}"))

    assert ns.PUSH in told
    assert ns.VERSION not in told


def test_the_own_account_is_registered_and_lists_its_available_resources(server: Server) -> None:
    phone = on(server)
    before = jids(phone, phone.account.jid)
    phone.available()

    query = info(phone, phone.account.jid)

    identity = query.find(f"{{{ns.DISCO_INFO}}}identity")
    assert identity is not None
    assert ("account", "registered") == (identity.get("category"), identity.get("type"))
    assert ns.PUSH in features(query)
    assert [] == before
    assert [phone.jid] == jids(phone, phone.account.jid)


@pytest.mark.parametrize("subscription", ["from", "both"])
def test_who_gets_an_accounts_presence_sees_its_disco(server: Server, subscription: str) -> None:
    juliet, romeo = on(server, "balcony").available(), on(server)
    let_see(server, juliet.account, romeo.account, subscription)

    assert ns.PUSH in features(info(romeo, juliet.account.jid))
    assert [juliet.jid] == jids(romeo, juliet.account.jid)


@pytest.mark.parametrize("subscription", ["none", "to"])
def test_a_stranger_cannot_tell_an_account_from_none(server: Server, subscription: str) -> None:
    juliet, romeo = on(server, "balcony").available(), on(server)
    let_see(server, juliet.account, romeo.account, subscription)

    for jid in (juliet.account.jid, f"nobody@{DOMAIN}"):
        assert "service-unavailable" == refusal(romeo, INFO, to=jid)
        assert "service-unavailable" == refusal(romeo, f"<query xmlns='{ns.DISCO_INFO}' node='x'/>", to=jid)
        assert [] == jids(romeo, jid)
        assert 0 == len(result(romeo, f"<query xmlns='{ns.DISCO_ITEMS}' node='x'/>", to=jid))


def test_a_contact_that_is_blocked_is_a_stranger(server: Server) -> None:
    juliet, romeo = on(server, "balcony").available(), on(server)
    let_see(server, juliet.account, romeo.account)
    block(server, juliet.account, romeo.account.jid)

    assert "service-unavailable" == refusal(romeo, INFO, to=juliet.account.jid)
    assert [] == list(ask(romeo, ITEMS, to=juliet.account.jid)[0])


def test_a_node_that_nobody_knows_is_not_found(server: Server) -> None:
    phone = on(server)

    for namespace in (ns.DISCO_INFO, ns.DISCO_ITEMS):
        for to in (DOMAIN, phone.account.jid, f"push.{DOMAIN}"):
            answer = ask(phone, f"<query xmlns='{namespace}' node='a&lt;b&apos;'/>", to=to)

            assert "item-not-found" == error_of(answer)


def test_an_address_without_a_host_here_is_nobodys(server: Server) -> None:
    phone = on(server)

    assert "remote-server-not-found" == refusal(phone, INFO, to="example.net")
    assert "service-unavailable" == refusal(phone, INFO.replace("get", "set"), to=DOMAIN, type="set")
