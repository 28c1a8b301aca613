"""Somebody else's app server, an external component here, to which this server publishes for its users (XEP-0357)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, tostring

import pytest

from gateway.mailbox import embedded, keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import Pushes
from gateway.xmpp import ns
from tests.support.component import SECRET, Component, close_components, component
from tests.support.phone import Phone, close_phones, online, stanza
from tests.support.processes import Account, Server, free_ports

SERVICE = "push.app.example"
OPTIONS = (
    f"<x xmlns='{ns.DATA_FORMS}' type='submit'>"
    f"<field var='FORM_TYPE'><value>{ns.PUBSUB_PUBLISH_OPTIONS}</value></field>"
    "<field var='secret'><value>eruio &lt; 234vzxc2kla-91</value></field><field var='pushModule'><value>dev</value>"
    "</field></x>"
)
PUBLISH = f"{{{ns.PUBSUB}}}pubsub/{{{ns.PUBSUB}}}publish"


@dataclass(frozen=True)
class House:
    """Our server, and the port for components."""

    server: Server
    port: int

    def app_server(self) -> Component:
        return component(self.port, SERVICE)

    @contextmanager
    def store(self) -> Iterator[Journal]:
        journal = Journal(embedded.resolve("embedded", self.server.directory / "data"))
        journal.start()
        try:
            yield journal
        finally:
            journal.stop()

    def outcomes(self) -> dict[str, int]:
        """How pushes ended, read where the workers count it."""
        with self.store() as journal:
            return Pushes(journal).outcomes()

    def registrations(self, account: Account) -> int:
        with self.store() as journal:
            return int(journal.call("HLEN", keys.key(keys.prefix(account.jid), "registrations", account.jid)))

    def wait_outcome(self, name: str, before: dict[str, int]) -> None:
        self.server.wait(lambda: self.outcomes().get(name, 0) > before.get(name, 0), name, 30.0)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    (port,) = free_ports(1)
    settings: dict[str, dict[str, Any]] = {
        "listen": {"components": [f"127.0.0.1:{port}"]},
        f'components.domains."{SERVICE}"': {"secret": SECRET},
        "push.apps.theirs": {"provider": "appserver", "service": SERVICE},
        # A message may be written before it is noticed that the link is cut: the push must not wait for that.
        "push": {"floor": 0, "offered_grace": 0, "retry_first": 0.1, "retry_most": 1, "foreign_content": "body"},
    }
    server = Server(tmp_path_factory.mktemp("foreign"), settings=settings)
    try:
        server.start()
        server.stock_accounts(12)
        yield House(server, port)
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    yield
    close_components()
    close_phones()


def a_phone(house: House, *, extra: str = "", service: str = SERVICE, options: str = OPTIONS) -> Phone:
    """Registered with the app server, and then asleep."""
    phone = online(house.server, house.server.account())
    enable = f"<enable xmlns='{ns.PUSH}' jid='{service}' node='yxs32u&amp;fdk'>{options}{extra}</enable>"
    phone.send(f"<iq type='set' id='e'>{enable}</iq>")
    answer = phone.skip_to(stanza("iq"), stanza("presence"))
    assert "result" == answer.get("type"), tostring(answer)
    phone.cut()
    return phone


def send(house: House, to: Account, body: str = "Wherefore?") -> Phone:
    romeo = online(house.server, house.server.account())
    romeo.send(f"<message to='{to.jid}' type='chat'><body>{body}</body></message>")
    return romeo


def reply(app_server: Component, request: Element, inner: str = "", type_: str = "result") -> None:
    app_server.send(
        f"<iq type='{type_}' id='{request.get('id')}' from='{SERVICE}' to='{request.get('from')}'>{inner}</iq>"
    )


def error(condition: str, type_: str = "cancel") -> str:
    return f"<error type='{type_}'><{condition} xmlns='{ns.STANZAS}'/></error>"


def fields(element: Element) -> dict[str, str]:
    found = element.iter(f"{{{ns.DATA_FORMS}}}field")
    return {str(one.get("var")): one.findtext(f"{{{ns.DATA_FORMS}}}value", "") for one in found}


def test_it_gets_the_notification_with_the_options_as_the_client_gave_them(house: House) -> None:
    app_server, before = house.app_server(), house.outcomes()
    phone = a_phone(house)
    romeo = send(house, phone.account)
    request = app_server.next("iq")
    publish = request.find(PUBLISH)
    assert publish is not None
    options = request.find(f"{{{ns.PUBSUB}}}pubsub/{{{ns.PUBSUB}}}publish-options")
    assert options is not None
    reply(app_server, request)
    house.wait_outcome("delivered", before)

    assert ("set", "localhost", SERVICE) == (request.get("type"), request.get("from"), request.get("to"))
    assert "yxs32u&fdk" == publish.get("node")
    assert {
        "FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS,
        "secret": "eruio < 234vzxc2kla-91",
        "pushModule": "dev",
    } == fields(options)
    assert {
        "FORM_TYPE": ns.PUSH_SUMMARY,
        "message-count": "1",
        "pending-subscription-count": "0",
        "last-message-sender": romeo.account.jid,
        "last-message-body": "Wherefore?",
    } == fields(publish)


def test_what_is_encrypted_for_the_device_stands_in_place_of_the_summary(house: House) -> None:
    app_server, before = house.app_server(), house.outcomes()
    encrypt = "<encrypt xmlns='tigase:push:encrypt:0' alg='aes-128-gcm'>AAAAAAAAAAAAAAAAAAAAAA==</encrypt>"
    phone = a_phone(house, extra=encrypt)
    send(house, phone.account)
    request = app_server.next("iq")
    publish = request.find(PUBLISH)
    assert publish is not None
    reply(app_server, request)
    house.wait_outcome("delivered", before)

    assert publish.find(".//{tigase:push:encrypt:0}encrypted") is not None
    assert {} == fields(publish)


def test_an_app_of_ours_may_be_at_an_app_server_where_the_token_is_the_node(house: House) -> None:
    app_server, before = house.app_server(), house.outcomes()
    fields = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": "theirs", "token": "their-node"}
    inner = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
    options = f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{inner}</x>"
    phone = a_phone(house, service="push.localhost", options=options)
    send(house, phone.account)
    request = app_server.next("iq")
    publish = request.find(PUBLISH)
    assert publish is not None
    reply(app_server, request)
    house.wait_outcome("delivered", before)

    assert "their-node" == publish.get("node")
    assert "publish-options" not in tostring(request, encoding="unicode")


def test_item_not_found_ends_the_registration(house: House) -> None:
    app_server, before = house.app_server(), house.outcomes()
    phone = a_phone(house)
    assert 1 == house.registrations(phone.account)
    send(house, phone.account)
    reply(app_server, app_server.next("iq"), error("item-not-found"), "error")
    house.wait_outcome("token-gone", before)

    house.server.wait(lambda: not house.registrations(phone.account), "the registration's end")


def test_an_error_that_passes_is_tried_again(house: House) -> None:
    app_server, before = house.app_server(), house.outcomes()
    phone = a_phone(house)
    send(house, phone.account)
    first = app_server.next("iq")
    reply(app_server, first, error("resource-constraint", "wait"), "error")
    second = app_server.next("iq")
    reply(app_server, second)
    house.wait_outcome("delivered", before)

    assert first.get("id") != second.get("id")
    assert _item(first) == _item(second)


def _item(request: Element) -> str | None:
    item = request.find(f"{PUBLISH}/{{{ns.PUBSUB}}}item")
    return None if item is None else item.get("id")


def test_a_push_waits_for_an_app_server_that_is_away(house: House) -> None:
    before = house.outcomes()
    phone = a_phone(house)
    send(house, phone.account)
    house.server.wait(lambda: "remote-server-timeout" in house.server.log(), "a try without an app server")
    app_server = house.app_server()
    reply(app_server, app_server.next("iq"))
    house.wait_outcome("delivered", before)
