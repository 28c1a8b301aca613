"""XEP-0114: presence between users and a component's contacts, and what becomes of what a component did not take."""

import signal
from collections.abc import Iterator

import pytest

from gateway.demo.stream import StreamEnded
from gateway.xmpp import ns
from tests.support.component import (
    BRIDGE,
    ECHO,
    LOUNGE,
    Component,
    TwoGateways,
    a_user,
    close_components,
    component,
    error_of,
    leave,
    tag,
    two_gateways,
)
from tests.support.phone import Phone, stanza


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoGateways]:
    with two_gateways(tmp_path_factory.mktemp("components")) as gateways:
        gateways.server.stock_accounts(40)
        yield gateways


@pytest.fixture(autouse=True)
def _no_component_stays_open() -> Iterator[None]:
    yield
    close_components()


@pytest.fixture
def bridge(gateways: TwoGateways) -> Iterator[Component]:
    """A component on one process."""
    connected = component(gateways.component_port)
    yield connected
    leave(connected)


# Contacts at a component's domain


def _befriended(gateways: TwoGateways, bridge: Component) -> Phone:
    """A user who sees the presence of a contact at the component, and is seen by it."""
    user, contact = a_user(gateways), f"romeo@{BRIDGE}"
    me = user.account.jid
    user.send(f"<iq type='get' id='r'><query xmlns='{ns.ROSTER}'/></iq>")
    user.send(f"<presence to='{contact}' type='subscribe'/>")
    asked = bridge.next("presence")
    assert (me, contact, "subscribe") == (asked.get("from"), asked.get("to"), asked.get("type"))
    bridge.send(f"<presence from='{contact}' to='{me}' type='subscribed'/>")
    bridge.send(f"<presence from='{contact}' to='{me}' type='subscribe'/>")
    assert ["subscribed", "subscribe"] == [user.skip_to(stanza("presence"), stanza("iq")).get("type") for _ in range(2)]
    user.send(f"<presence to='{contact}' type='subscribed'/>")
    answer, shown = bridge.next("presence"), bridge.next("presence")
    assert ("subscribed", None) == (answer.get("type"), shown.get("type"))
    assert (user.jid, contact) == (shown.get("from"), shown.get("to"))
    return user


def test_a_contact_of_its_gets_a_place_in_the_roster(gateways: TwoGateways, bridge: Component) -> None:
    user = _befriended(gateways, bridge)

    user.send(f"<iq type='get' id='r2'><query xmlns='{ns.ROSTER}'/></iq>")
    while (roster := user.skip_to(stanza("iq"), stanza("presence"))).get("id") != "r2":
        """a roster push"""
    items = {item.get("jid"): item.get("subscription") for item in roster.iter(f"{{{ns.ROSTER}}}item")}

    assert {f"romeo@{BRIDGE}": "both"} == items


def test_its_contacts_are_told_of_presence_and_asked_for_theirs(gateways: TwoGateways, bridge: Component) -> None:
    user = _befriended(gateways, bridge)

    user.send("<presence><show>away</show></presence>")
    away = bridge.next("presence")
    user.send("<presence type='unavailable'/>")
    gone = bridge.next("presence")
    user.send("<presence/>")
    back = [bridge.next("presence").get("type") for _ in range(2)]
    bridge.send(f"<presence from='romeo@{BRIDGE}/x' to='{user.account.jid}'/>")

    assert ("away", f"romeo@{BRIDGE}") == (away.findtext(tag("show")), away.get("to"))
    assert "unavailable" == gone.get("type")
    assert {None, "probe"} == {*back}
    while user.skip_to(stanza("presence"), stanza("iq")).get("from") != f"romeo@{BRIDGE}/x":
        """the user's own"""


def test_it_may_ask_for_the_presence_of_whom_it_sees(gateways: TwoGateways, bridge: Component) -> None:
    user = _befriended(gateways, bridge)

    bridge.send(f"<presence from='romeo@{BRIDGE}' to='{user.account.jid}' type='probe'/>")
    seen = bridge.next("presence")
    bridge.send(f"<presence from='mallory@{BRIDGE}' to='{user.account.jid}' type='probe'/>")
    refused = bridge.next("presence")

    assert (user.jid, None) == (seen.get("from"), seen.get("type"))
    assert (user.account.jid, "unsubscribed") == (refused.get("from"), refused.get("type"))


def test_its_contact_leaves_the_roster_and_it_is_told(gateways: TwoGateways, bridge: Component) -> None:
    user = _befriended(gateways, bridge)

    user.send(
        f"<iq type='set' id='x'><query xmlns='{ns.ROSTER}'>"
        f"<item jid='romeo@{BRIDGE}' subscription='remove'/></query></iq>"
    )
    told = [bridge.next("presence").get("type") for _ in range(3)]

    assert ["unavailable", "unsubscribe", "unsubscribed"] == sorted(str(one) for one in told)


# When connections break


def test_when_it_leaves_nobody_hears_presence_that_it_did_not_send(gateways: TwoGateways) -> None:
    lounge, user = component(gateways.component_port, LOUNGE), a_user(gateways)
    lounge.send(f"<presence from='room@{LOUNGE}/nick' to='{user.jid}'/>")
    assert f"room@{LOUNGE}/nick" == user.next().get("from")

    leave(lounge)
    user.message(LOUNGE, "who is there?")

    assert stanza("message") == user.next().tag


def test_a_user_who_leaves_is_told_of_to_whom_he_sent_presence(gateways: TwoGateways, bridge: Component) -> None:
    user = a_user(gateways)
    user.send(f"<presence to='room@{BRIDGE}/nick'/>")
    assert user.jid == bridge.next("presence").get("from")

    user.stream.end()
    left = bridge.next("presence")

    assert (user.jid, f"room@{BRIDGE}/nick", "unavailable") == (left.get("from"), left.get("to"), left.get("type"))


MANY = [str(number) for number in range(100)]
"""messages of 60 KB each: more than sockets and their buffers take from a component that does not read"""


def _fill(user: Phone, domain: str) -> None:
    """The user's messages are taken by the server, and some of them are not by the component."""
    for number in MANY:
        user.message(f"a@{domain}", "x" * 60_000, number)
    assert len(MANY) + 2 == user.handled()  # presence and a ping came before


def _taken(connected: Component) -> list[str]:
    """The ids of the messages that come until the stream's end."""
    ids = []
    try:
        while True:
            ids.append(connected.next("message").get("id", ""))
    except StreamEnded:
        return ids


def _returned(user: Phone, missing: set[str]) -> list[str]:
    """The ids of the messages that come back, until all of `missing` did."""
    ids: list[str] = []
    while not missing <= set(ids):
        reply = user.skip_to(stanza("message"), stanza("presence"))

        assert ("wait", "remote-server-timeout") == error_of(reply)
        ids.append(reply.get("id", ""))
        user.ack()
    return ids


def test_what_a_component_did_not_take_before_it_left_goes_back_once(gateways: TwoGateways) -> None:
    lounge, user = component(gateways.component_port, LOUNGE), a_user(gateways)
    _fill(user, LOUNGE)

    lounge.end()
    taken = _taken(lounge)
    returned = _returned(user, {*MANY} - {*taken})

    assert returned
    assert len(returned) == len(set(returned))


def test_its_gateway_is_killed_and_what_it_did_not_take_comes_again_or_goes_back_once(gateways: TwoGateways) -> None:
    lounge, user = component(gateways.component_port, LOUNGE), a_user(gateways)
    _fill(user, LOUNGE)
    gateways.server.kill("gateway")
    taken = _taken(lounge)

    again = component(gateways.other.component_port, LOUNGE)
    user.message(f"a@{LOUNGE}", "end", "end")
    came = []
    while (number := again.next("message").get("id", "")) != "end":
        came.append(number)
    returned = _returned(user, {*MANY} - {*taken} - {*came})
    gateways.server.wait_accepting()

    assert came or returned
    assert sorted(came, key=int) == came
    assert len(returned) == len(set(returned))
    assert not {*returned} & {*came}
    leave(again)


# Settings


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoGateways]:
    """Gateways that keep what comes for a component, and let its newer connection have it."""
    directory = tmp_path_factory.mktemp("patient")
    with two_gateways(directory, component_wait=600, component_conflict_resolve="kick_old") as gateways:
        gateways.server.stock_accounts(10)
        yield gateways


@pytest.mark.parametrize("same", [True, False])
def test_with_kick_old_the_second_connection_replaces_the_first(patient: TwoGateways, same: bool) -> None:
    first = component(patient.component_port)
    second = component(patient.component_port if same else patient.other.component_port)
    user = a_user(patient)

    user.message(BRIDGE, "hello")

    assert "conflict" == first.stream_error()
    assert "hello" == second.next("message").findtext(tag("body"))
    leave(second)


def test_with_component_wait_what_comes_meanwhile_comes_with_the_next_connection(patient: TwoGateways) -> None:
    leave(component(patient.component_port, ECHO))
    user = a_user(patient)
    user.send(f"<presence to='room@{ECHO}/nick'/>")
    user.message(f"a@{ECHO}", "waiting")
    user.send(f"<iq type='get' id='1' to='{ECHO}'><ping xmlns='{ns.PING}'/></iq>")
    user.round_trip()

    back = component(patient.other.component_port, ECHO)
    came = [back.receive(10) for _ in range(3)]

    assert [tag("presence"), tag("message"), tag("iq")] == [element.tag for element in came]
    assert "waiting" == came[1].findtext(tag("body"))
    leave(back)


def test_a_gateway_that_stops_says_so_to_its_components(patient: TwoGateways) -> None:
    lounge = component(patient.component_port, LOUNGE)

    patient.server.signal("gateway", signal.SIGTERM)

    assert "system-shutdown" == lounge.stream_error()
