"""slixmpp's ComponentXMPP as it is: it connects, talks with users, and comes back after its gateway was killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.xmpp import ns
from tests.support.component import BRIDGE, SECRET, component_settings
from tests.support.phone import Phone, close_phones, online, stanza
from tests.support.processes import DOMAIN, Server, free_ports
from tests.support.runners import Runner, runner


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    """A server, and the port on which components connect."""
    (port,) = free_ports(1)
    server = Server(tmp_path_factory.mktemp("interop-components"), settings=component_settings(port))
    try:
        server.start()
        server.stock_accounts(10)
        yield server, port
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def _no_link_stays_open() -> Iterator[None]:
    yield
    close_phones()


@contextmanager
def a_component(port: int, secret: str = SECRET) -> Iterator[Runner]:
    with runner("slixmpp_component") as started:
        started.tell("connect", domain=BRIDGE, secret=secret, host="127.0.0.1", port=port)
        yield started


def test_it_connects_and_chats(home: tuple[Server, int]) -> None:
    server, port = home
    user = online(server, server.account())
    with a_component(port) as bridge:
        bridge.wait("online")
        user.send(f"<message to='romeo@{BRIDGE}' type='chat' id='1'><body>hello &amp; 'all'</body></message>")
        came = bridge.wait("message")
        bridge.tell("send", sender=f"romeo@{BRIDGE}/x", to=user.jid, body="back <&>")
        answer = user.skip_to(stanza("message"), stanza("presence"))

    assert (user.jid, f"romeo@{BRIDGE}", "hello & 'all'") == (came["from"], came["to"], came["body"])
    assert (f"romeo@{BRIDGE}/x", "back <&>") == (answer.get("from"), answer.findtext(stanza("body")))


def test_it_answers_discovery_and_asks_the_server(home: tuple[Server, int]) -> None:
    server, port = home
    user = online(server, server.account())
    with a_component(port) as bridge:
        bridge.wait("online")
        user.send(f"<iq type='get' id='d' to='{BRIDGE}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
        info = user.skip_to(stanza("iq"), stanza("presence"))
        bridge.tell("disco", to=DOMAIN)
        features = bridge.wait("disco")["features"]

    assert ("d", "result") == (info.get("id"), info.get("type"))
    assert [("gateway", "test")] == [
        (one.get("category"), one.get("type")) for one in info.iter(f"{{{ns.DISCO_INFO}}}identity")
    ]
    assert ns.PING in features


def test_it_sees_the_presence_that_is_sent_to_it(home: tuple[Server, int]) -> None:
    server, port = home
    user = online(server, server.account())
    with a_component(port) as bridge:
        bridge.wait("online")
        user.send(f"<presence to='room@{BRIDGE}/nick'><x xmlns='{ns.MUC}'/></presence>")
        came = bridge.wait("presence")
        bridge.tell("presence", sender=f"room@{BRIDGE}/nick", to=user.jid)
        answer = user.next()

    assert (user.jid, f"room@{BRIDGE}/nick") == (came["from"], came["to"])
    assert (stanza("presence"), f"room@{BRIDGE}/nick") == (answer.tag, answer.get("from"))


def test_a_wrong_secret_keeps_it_out(home: tuple[Server, int]) -> None:
    _, port = home
    with a_component(port, "another") as bridge:
        error = bridge.wait("stream_error")

    assert "not-authorized" == error["condition"]


def test_it_comes_back_after_its_gateway_was_killed(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server = Server(tmp_path, settings=component_settings(port))
    try:
        server.start()
        account = server.account()
        with a_component(port) as bridge:
            bridge.wait("online")
            server.kill("gateway")
            bridge.wait("online", 2)
            server.wait_accepting()
            user = Phone(server, account).bind()
            user.message(f"romeo@{BRIDGE}", "again")
            came = bridge.wait("message")
    finally:
        server.stop()

    assert "again" == came["body"]
