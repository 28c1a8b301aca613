"""XEP-0114: external components, on one of two gateway processes; the users they talk with are on the other."""

from collections.abc import Iterator

import pytest

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
from tests.support.processes import DOMAIN


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


# The handshake


def test_the_right_secret_opens_the_stream(gateways: TwoGateways) -> None:
    opened = Component(gateways.component_port).open()

    assert BRIDGE == opened.header["from"]
    opened.shake()
    leave(opened)


@pytest.mark.parametrize("secret", ["", "another", "open bridge "])
def test_a_wrong_secret_is_not_authorized(gateways: TwoGateways, secret: str) -> None:
    stranger = Component(gateways.component_port).open()

    stranger.send(f"<handshake>{stranger.digest(secret)}</handshake>")

    assert "not-authorized" == stranger.stream_error()


@pytest.mark.parametrize("first", ["<handshake/>", "<message to='a@localhost'/>", "<auth xmlns='urn:x'/>"])
def test_what_is_no_handshake_is_not_authorized(gateways: TwoGateways, first: str) -> None:
    stranger = Component(gateways.component_port).open()

    stranger.send(first)

    assert "not-authorized" == stranger.stream_error()


@pytest.mark.parametrize("domain", [DOMAIN, "nobody.localhost", "user@bridge.localhost", "bridge.localhost/x"])
def test_a_domain_that_is_not_configured_is_unknown(gateways: TwoGateways, domain: str) -> None:
    stranger = Component(gateways.component_port).open(to=domain)

    assert "host-unknown" == stranger.stream_error()


@pytest.mark.parametrize("namespace", [ns.CLIENT, ns.SERVER, "jabber:component:connect"])
def test_another_content_namespace_is_refused(gateways: TwoGateways, namespace: str) -> None:
    stranger = Component(gateways.component_port).open(namespace=namespace)

    assert "invalid-namespace" == stranger.stream_error()


def test_a_huge_element_before_the_handshake_violates_the_policy(gateways: TwoGateways) -> None:
    stranger = Component(gateways.component_port).open()

    stranger.send(f"<handshake>{'a' * 20_000}</handshake>")

    assert "policy-violation" == stranger.stream_error()


def test_a_second_connection_gets_conflict_and_the_first_goes_on(gateways: TwoGateways, bridge: Component) -> None:
    for port in (gateways.component_port, gateways.other.component_port):
        second = Component(port).open()
        second.send(f"<handshake>{second.digest()}</handshake>")

        assert "conflict" == second.stream_error()
    bridge.round_trip()


# From users to the component


@pytest.mark.parametrize("to", [BRIDGE, f"room@{BRIDGE}", f"room@{BRIDGE}/nick", f"{BRIDGE}/resource"])
def test_whatever_is_addressed_to_its_domain_reaches_it(gateways: TwoGateways, bridge: Component, to: str) -> None:
    user = a_user(gateways)

    user.send(f"<presence to='{to}'><x xmlns='{ns.MUC}'/></presence>")
    user.send(f"<message type='groupchat' to='{to}'><body>a</body></message>")
    user.send(f"<message type='error' to='{to}'><body>b</body></message>")
    user.send(f"<iq type='get' id='q' to='{to}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    user.send(f"<iq type='result' id='r' to='{to}'/>")
    user.send(f"<presence to='{to}' type='unavailable'/>")
    came = [bridge.receive(10) for _ in range(6)]

    assert [tag(name) for name in ("presence", "message", "message", "iq", "iq", "presence")] == [e.tag for e in came]
    assert {(user.jid, to)} == {(element.get("from"), element.get("to")) for element in came}
    assert "a" == came[1].findtext(tag("body"))


def test_children_that_name_the_clients_namespace_come_in_the_streams_own(
    gateways: TwoGateways, bridge: Component
) -> None:
    user = a_user(gateways)

    user.send(f"<message to='{BRIDGE}'><body xmlns='jabber:client'>xmlns='jabber:client'</body></message>")

    assert "xmlns='jabber:client'" == bridge.next("message").findtext(tag("body"))


def test_the_component_answers_an_iq(gateways: TwoGateways, bridge: Component) -> None:
    user = a_user(gateways)

    user.send(f"<iq type='get' id='q' to='{BRIDGE}'><query xmlns='{ns.VERSION}'/></iq>")
    asked = bridge.next("iq")
    bridge.send(f"<iq type='result' id='q' from='{BRIDGE}' to='{asked.get('from')}'><query xmlns='{ns.VERSION}'/></iq>")
    answer = user.skip_to(stanza("iq"), stanza("presence"))

    assert ("q", "result", BRIDGE) == (answer.get("id"), answer.get("type"), answer.get("from"))


@pytest.mark.parametrize(
    "sent",
    [
        "<message type='chat' id='x' to='a@{}'><body>a</body></message>",
        "<message type='groupchat' id='x' to='a@{}'><body>a</body></message>",
        "<iq type='get' id='x' to='{}'><query xmlns='jabber:iq:version'/></iq>",
        "<presence id='x' to='room@{}/nick'/>",
    ],
)
def test_of_a_component_that_is_away_the_sender_is_told_at_once(gateways: TwoGateways, sent: str) -> None:
    user = a_user(gateways)

    user.send(sent.format(LOUNGE))
    reply = user.next()

    assert ("x", "error") == (reply.get("id"), reply.get("type"))
    assert ("wait", "remote-server-timeout") == error_of(reply)


def test_of_a_component_that_is_away_no_answer_gets_an_answer(gateways: TwoGateways) -> None:
    user = a_user(gateways)

    user.send(f"<message type='error' to='{LOUNGE}'/><iq type='result' id='1' to='{LOUNGE}'/>")
    user.send(f"<presence type='unavailable' to='{LOUNGE}'/><presence type='error' to='{LOUNGE}'/>")

    user.round_trip()


def test_it_is_listed_among_the_servers_items(gateways: TwoGateways) -> None:
    user = a_user(gateways)

    user.send(f"<iq type='get' id='d' to='{DOMAIN}'><query xmlns='{ns.DISCO_ITEMS}'/></iq>")
    answer = user.skip_to(stanza("iq"), stanza("presence"))
    items = {item.get("jid"): item.get("name") for item in answer.iter(f"{{{ns.DISCO_ITEMS}}}item")}

    assert "The bridge" == items[BRIDGE]
    assert {BRIDGE, ECHO, LOUNGE} <= set(items)


def test_the_sender_keeps_a_copy_of_what_he_wrote_to_a_component(gateways: TwoGateways, bridge: Component) -> None:
    user = a_user(gateways)

    user.message(f"romeo@{BRIDGE}", "to be kept", "k")
    bridge.next("message")
    user.send(f"<iq type='set' id='a'><query xmlns='{ns.MAM}'/></iq>")
    found = user.skip_to(stanza("message"), stanza("presence"))

    assert "to be kept" == next(found.iter(stanza("body"))).text


# From the component


def test_it_speaks_to_users_from_any_address_at_its_domain(gateways: TwoGateways, bridge: Component) -> None:
    user = a_user(gateways)

    bridge.send(f"<message from='juliet@{BRIDGE}/x' to='{user.jid}' type='chat'><body>1</body></message>")
    bridge.send(f"<message from='{BRIDGE}' to='{user.account.jid}'><body>2</body></message>")
    bridge.send(f"<message to='{user.account.jid}'><body>3</body></message>")
    came = [user.skip_to(stanza("message"), stanza("presence")) for _ in range(3)]

    assert ["1", "2", "3"] == [message.findtext(stanza("body")) for message in came]
    assert [f"juliet@{BRIDGE}/x", BRIDGE, BRIDGE] == [message.get("from") for message in came]


def test_what_names_its_namespace_comes_in_the_clients(gateways: TwoGateways, bridge: Component) -> None:
    user = a_user(gateways)

    bridge.send(
        f"<message xmlns='{ns.COMPONENT}' from='{BRIDGE}' to='{user.jid}'>"
        f"<body xmlns='{ns.COMPONENT}'>xmlns='{ns.COMPONENT}'</body><x xmlns='urn:x'/></message>"
    )
    bridge.send(f"<message xmlns='{ns.CLIENT}' from='{BRIDGE}' to='{user.jid}'><body>plain</body></message>")

    assert [f"xmlns='{ns.COMPONENT}'", "plain"] == user.bodies(2)


def test_its_messages_wait_for_users_who_are_away(gateways: TwoGateways, bridge: Component) -> None:
    account = gateways.server.account()

    bridge.send(f"<message from='a@{BRIDGE}' to='{account.jid}' type='chat'><body>later</body></message>")
    bridge.round_trip()

    user = Phone(gateways.other, account).bind()
    user.send("<presence/>")

    assert ["later"] == user.bodies(1)


def test_it_sends_presence_to_a_user(gateways: TwoGateways, bridge: Component) -> None:
    user = a_user(gateways)

    bridge.send(f"<presence from='room@{BRIDGE}/nick' to='{user.jid}'/>")
    came = user.next()

    assert (stanza("presence"), f"room@{BRIDGE}/nick") == (came.tag, came.get("from"))


def test_it_asks_a_users_device(gateways: TwoGateways, bridge: Component) -> None:
    user = a_user(gateways)

    bridge.send(f"<iq type='get' id='q' from='a@{BRIDGE}' to='{user.jid}'><query xmlns='{ns.VERSION}'/></iq>")
    asked = user.next()
    user.send(f"<iq type='result' id='q' to='{asked.get('from')}'/>")

    assert ("q", f"a@{BRIDGE}") == ((answer := bridge.next("iq")).get("id"), answer.get("to"))


@pytest.mark.parametrize("namespace", [ns.ROSTER, ns.PRIVATE, ns.PUSH, ns.BLOCKING])
def test_what_is_for_accounts_is_not_served_to_it(gateways: TwoGateways, bridge: Component, namespace: str) -> None:
    for to in (DOMAIN, gateways.server.account().jid, f"nobody@{DOMAIN}"):
        bridge.send(f"<iq type='get' id='q' from='a@{BRIDGE}' to='{to}'><query xmlns='{namespace}'/></iq>")
        answer = bridge.next("iq")

        assert ("q", "error", f"a@{BRIDGE}") == (answer.get("id"), answer.get("type"), answer.get("to"))
        assert ("cancel", "service-unavailable") == error_of(answer)


def test_answers_come_in_the_order_of_what_was_sent(gateways: TwoGateways, bridge: Component) -> None:
    for number in range(60):
        to = f"nobody{number}@{DOMAIN}/x" if number % 2 else DOMAIN
        bridge.send(f"<iq type='get' id='{number}' from='{BRIDGE}' to='{to}'><ping xmlns='{ns.PING}'/></iq>")

    assert [str(number) for number in range(60)] == [bridge.next("iq").get("id") for _ in range(60)]


def test_components_talk_with_each_other(gateways: TwoGateways, bridge: Component) -> None:
    echo = component(gateways.other.component_port, ECHO)

    bridge.send(f"<message from='a@{BRIDGE}' to='b@{ECHO}'><body>hello</body></message>")
    came = echo.next("message")
    echo.send(f"<message from='b@{ECHO}' to='{came.get('from')}'><body>back</body></message>")

    assert "back" == bridge.next("message").findtext(tag("body"))
    leave(echo)


# Bad input


def test_a_message_to_an_unknown_user_comes_back(gateways: TwoGateways, bridge: Component) -> None:
    bridge.send(f"<message id='m' from='a@{BRIDGE}/x' to='nobody@{DOMAIN}' type='chat'><body>a</body></message>")
    reply = bridge.next("message")

    assert ("m", f"a@{BRIDGE}/x", f"nobody@{DOMAIN}") == (reply.get("id"), reply.get("to"), reply.get("from"))
    assert ("cancel", "service-unavailable") == error_of(reply)


@pytest.mark.parametrize("name", ["message", "presence", "iq"])
def test_a_stanza_without_to_is_a_bad_request_and_the_stream_goes_on(
    gateways: TwoGateways, bridge: Component, name: str
) -> None:
    bridge.send(f"<{name} id='n' from='a@{BRIDGE}'{' type=' + repr('get') if name == 'iq' else ''}/>")
    reply = bridge.next(name)

    assert ("modify", "bad-request") == error_of(reply)
    assert ("n", f"a@{BRIDGE}") == (reply.get("id"), reply.get("to"))
    bridge.round_trip()


@pytest.mark.parametrize("sender", [f"admin@{DOMAIN}", DOMAIN, "else.where", ECHO, f"x.{BRIDGE}", "@", f"a b@{BRIDGE}"])
def test_a_from_elsewhere_ends_the_stream(gateways: TwoGateways, bridge: Component, sender: str) -> None:
    user = a_user(gateways)

    bridge.send(f"<message from='{sender}' to='{user.jid}'><body>forged</body></message>")

    assert "invalid-from" == bridge.stream_error()
    user.round_trip()


def test_a_malformed_to_is_told(gateways: TwoGateways, bridge: Component) -> None:
    bridge.send(f"<message id='m' from='{BRIDGE}' to='a@@b'/>")

    assert ("modify", "jid-malformed") == error_of(bridge.next("message"))


def test_a_huge_stanza_ends_the_stream(gateways: TwoGateways, bridge: Component) -> None:
    bridge.send(f"<message from='{BRIDGE}' to='a@{DOMAIN}'><body>{'a' * 300_000}</body></message>")

    assert "policy-violation" == bridge.stream_error()


@pytest.mark.parametrize(
    "what", ["<log/>", "<xdb/>", "<handshake/>", f"<a xmlns='{ns.SM}' h='1'/>", "<csi xmlns='u'/>"]
)
def test_what_is_no_stanza_ends_the_stream(gateways: TwoGateways, bridge: Component, what: str) -> None:
    bridge.send(what)

    assert "unsupported-stanza-type" == bridge.stream_error()


@pytest.mark.parametrize(
    "sent",
    [
        f"<iq id='x' from='{BRIDGE}' to='{DOMAIN}' type='odd'><ping xmlns='{ns.PING}'/></iq>",
        f"<iq id='x' from='{BRIDGE}' to='{DOMAIN}' type='get'/>",
        f"<presence id='x' from='{BRIDGE}' to='a@{DOMAIN}' type='odd'/>",
    ],
)
def test_stanzas_of_unknown_types_are_bad_requests(gateways: TwoGateways, bridge: Component, sent: str) -> None:
    bridge.send(sent)

    assert ("modify", "bad-request") == error_of(bridge.receive(10))
