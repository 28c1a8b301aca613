"""XEP-0191 section 5 on the wire: what a block does to presence, and who tells of it when a process dies."""

import pytest

from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.scenarios.blocks import MESSAGE, PRESENCE, block, error_of, everything, listed, pair, pushed, unblock
from tests.support.iq import let_see, store_of
from tests.support.phone import Phone, online, sm, stanza
from tests.support.processes import Server

# Presence


def friends(server: Server) -> tuple[Phone, Phone]:
    """Juliet and Romeo, who see each other's presence."""
    juliet, romeo = server.account(), server.account()
    let_see(server, juliet, romeo, "both")
    let_see(server, romeo, juliet, "both")
    return online(server, juliet), online(server, romeo, "orchard")


def presence_of(phone: Phone, other: Phone) -> list[str]:
    """What came of another's presence until now: types, or what stands in the status."""
    phone.send(f"<iq type='get' id='fence' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    found = []
    while (element := phone.next()).get("id") != "fence":
        if element.tag == PRESENCE and (element.get("from") or "").startswith(other.account.jid):
            found.append(element.get("type") or element.findtext(stanza("status")) or "available")
    return found


def test_a_contact_sees_the_user_leave_and_come_back_with_the_block(server: Server) -> None:
    juliet, romeo = friends(server)
    tablet = online(server, juliet.account, "tablet")
    presence_of(romeo, juliet)

    block(juliet, romeo.account.jid)
    left = presence_of(romeo, juliet)
    tablet.send("<presence><status>secret</status></presence>")
    tablet.round_trip()
    while_blocked = presence_of(romeo, juliet)
    unblock(juliet, romeo.account.jid)
    back = presence_of(romeo, juliet)

    # a sweeper that comes at the same moment may tell it a second time
    assert {"unavailable"} == set(left) and 2 <= len(left)
    assert [] == while_blocked
    assert {"available", "secret"} == set(back)


def test_the_user_sees_a_contact_again_after_a_block(server: Server) -> None:
    juliet, romeo = friends(server)
    presence_of(juliet, romeo)
    block(juliet, romeo.account.jid)

    romeo.send("<presence><status>news</status></presence>")
    romeo.round_trip()
    while_blocked = presence_of(juliet, romeo)
    unblock(juliet)
    romeo.round_trip()

    assert ([], {"news"}) == (while_blocked, set(presence_of(juliet, romeo)))


def test_a_contact_who_comes_while_he_is_blocked_sees_nobody(server: Server) -> None:
    juliet, romeo = friends(server)
    block(juliet, romeo.account.jid)

    garden = online(server, romeo.account, "garden")
    garden.send(f"<presence to='{juliet.account.jid}' type='probe'/>")
    everything(garden)

    assert [] == presence_of(garden, juliet)
    assert [] == presence_of(juliet, garden)


def test_somebody_who_sees_nothing_of_the_user_hears_nothing_of_the_block(server: Server) -> None:
    juliet, romeo = pair(server)

    block(juliet, romeo.account.jid)
    unblock(juliet, romeo.account.jid)

    assert [] == presence_of(romeo, juliet)


def test_who_got_directed_presence_sees_it_end_with_the_block(server: Server) -> None:
    juliet, romeo = pair(server)
    tablet = online(server, juliet.account, "tablet")
    juliet.send(f"<presence to='{romeo.jid}'/>")
    juliet.round_trip()
    assert ["available"] == presence_of(romeo, juliet)

    block(tablet, romeo.account.jid)

    assert {"unavailable"} == set(presence_of(romeo, juliet))


@pytest.mark.parametrize("type_", ["subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"])
def test_subscriptions_and_probes_do_not_pass_a_block(server: Server, type_: str) -> None:
    juliet, romeo = pair(server)
    block(juliet, romeo.account.jid)

    romeo.send(f"<presence to='{juliet.account.jid}' type='{type_}' id='s'/>")
    answered = [each for each in everything(romeo) if each.get("id") == "s"]
    reached = everything(juliet)
    juliet.send(f"<presence to='{romeo.account.jid}' type='{type_}' id='s'/>")
    back = [each for each in everything(juliet) if each.get("id") == "s"]

    assert ([], []) == (answered, reached)
    assert [("cancel", "not-acceptable")] == [error_of(each) for each in back]
    assert [] == [each for each in everything(romeo) if each.tag == PRESENCE]


def test_the_sweeper_tells_what_a_killed_gateway_did_not(server: Server) -> None:
    juliet, romeo = friends(server)
    presence_of(romeo, juliet)
    with store_of(server) as store:
        at = keys.prefix(juliet.account.jid)
        store.sadd(keys.key(at, "blocked", juliet.account.jid), romeo.account.jid)
        fields = {"do": "visibility", "user": juliet.account.jid, "contact": romeo.account.jid, "sid": ""}
        store.xadd(keys.key(at, "outbox"), fields)

    assert "unavailable" == romeo.next(20).get("type")


def test_a_block_is_kept_when_the_gateway_is_killed_and_its_pushes_go_on_after_a_resumption(server: Server) -> None:
    juliet_account, romeo_account = server.account(), server.account()
    juliet = online(server, juliet_account)
    block(juliet, romeo_account.jid)
    listed(juliet)
    server.kill("gateway")
    server.wait_accepting()

    romeo = online(server, romeo_account)
    romeo.message(juliet_account.jid, "hello", "m")
    refusal = romeo.skip_to(MESSAGE, PRESENCE)
    back = Phone(server, juliet_account)
    resumed = back.resume(juliet.session_id, juliet.inbound)
    back.jid = juliet.jid
    block(online(server, juliet_account, "tablet"), "paris@x.example")

    assert ("cancel", "service-unavailable") == error_of(refusal)
    assert sm("resumed") == resumed.tag
    assert ["paris@x.example"] == pushed(back, "block")
