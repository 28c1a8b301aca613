"""XEP-0012 on the wire: uptime of the server, absence of an account; strangers learn nothing."""

import pytest

from gateway.xmpp import ns
from tests.support.iq import block, let_see, refusal, result
from tests.support.phone import Phone, stanza
from tests.support.processes import DOMAIN, Server

LAST = f"<query xmlns='{ns.LAST_ACTIVITY}'/>"


def on(server: Server, resource: str = "phone") -> Phone:
    return Phone(server, server.account()).bind(resource)


def test_the_server_tells_how_long_it_is_up(server: Server) -> None:
    query = result(on(server), LAST, to=DOMAIN)

    assert 0 <= int(query.get("seconds", "")) < 3600
    assert not query.text


def test_a_contact_learns_since_when_nobody_is_there_and_the_last_words(server: Server) -> None:
    juliet, romeo = on(server), on(server)
    let_see(server, juliet.account, romeo.account)
    juliet.available()
    here = result(romeo, LAST, to=juliet.account.jid)
    juliet.send("<presence type='unavailable'><status>Heading home &amp; away</status></presence>")
    juliet.round_trip()

    query = result(romeo, LAST, to=juliet.account.jid)

    assert ("0", None) == (here.get("seconds"), here.text)
    assert 0 <= int(query.get("seconds", "")) < 60
    assert "Heading home & away" == query.text


def test_the_own_account_is_available_as_long_as_one_device_is(server: Server) -> None:
    phone = on(server).available()

    assert "0" == result(phone, LAST, to=phone.account.jid).get("seconds")
    assert "0" == result(phone, LAST).get("seconds")


def test_of_an_account_that_was_never_available_there_is_nothing_to_tell(server: Server) -> None:
    phone = on(server)

    assert "item-not-found" == refusal(phone, LAST, to=phone.account.jid)


@pytest.mark.parametrize("subscription", ["none", "to"])
def test_a_stranger_cannot_tell_an_account_from_none(server: Server, subscription: str) -> None:
    juliet, romeo = on(server).available(), on(server)
    let_see(server, juliet.account, romeo.account, subscription)

    assert "service-unavailable" == refusal(romeo, LAST, to=juliet.account.jid)
    assert "service-unavailable" == refusal(romeo, LAST, to=f"nobody@{DOMAIN}")


def test_a_contact_that_is_blocked_learns_nothing(server: Server) -> None:
    juliet, romeo = on(server).available(), on(server)
    let_see(server, juliet.account, romeo.account, "both")
    block(server, juliet.account, romeo.jid)

    assert "service-unavailable" == refusal(romeo, LAST, to=juliet.account.jid)


def test_nobody_sets_it(server: Server) -> None:
    phone = on(server)

    for to in (DOMAIN, phone.account.jid):
        assert "service-unavailable" == refusal(phone, LAST, to=to, type="set")


def test_a_devices_own_answer_is_for_those_who_may_see_it(server: Server) -> None:
    juliet, romeo, stranger = on(server).available(), on(server), on(server)
    let_see(server, juliet.account, romeo.account)
    request = f"<iq type='get' id='idle' to='{juliet.jid}'>{LAST}</iq>"

    assert "service-unavailable" == refusal(stranger, LAST, to=juliet.jid)
    assert "service-unavailable" == refusal(stranger, LAST, to=f"nobody@{DOMAIN}/phone")
    romeo.send(request)
    asked = juliet.skip_to(stanza("iq"), stanza("presence"))
    assert (romeo.jid, "idle") == (asked.get("from"), asked.get("id"))
