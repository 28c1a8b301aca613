"""XEP-0357 with somebody else's app server, an external component here: registrations, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import msgspec
import pytest

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.push_answers import Answer, PushAnswers, request_id
from gateway.mailbox.pushes import Registration
from gateway.xmpp import ns
from tests.support.component import BRIDGE, Component, close_components, component, component_settings
from tests.support.iq import ask, refusal, store_of
from tests.support.phone import Phone, online
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import DOMAIN, free_ports

WORKER = "host.example-12-ab_c"
FORM = (
    f"<x xmlns='{ns.DATA_FORMS}' type='submit'>"
    f"<field var='FORM_TYPE'><value>{ns.PUBSUB_PUBLISH_OPTIONS}</value></field>"
    "<field var='secret'><value>a &lt; b</value></field></x>"
)


@dataclass(frozen=True, slots=True)
class House:
    server: Pieces
    component_port: int


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    (port,) = free_ports(1)
    with pieces(tmp_path_factory.mktemp("app-servers"), settings=component_settings(port)) as server:
        server.stock_accounts(30)
        yield House(server, port)


@pytest.fixture
def service(house: House) -> Iterator[Component]:
    yield component(house.component_port)
    close_components()


@pytest.fixture
def answers(house: House) -> Iterator[PushAnswers]:
    with store_of(house.server) as store:
        url = f"unix://{store.connection_pool.connection_kwargs['path']}"
    journal = Journal(url)
    journal.start()
    yield PushAnswers(journal)
    journal.stop()


def a_phone(house: House) -> Phone:
    return online(house.server, house.server.account())


def enabled(inner: str = "", *, jid: str = BRIDGE, node: str = "n1") -> str:
    return f"<enable xmlns='{ns.PUSH}' jid='{jid}' node='{node}'>{inner}</enable>"


def registrations(house: House, phone: Phone) -> list[Registration]:
    user = phone.account.jid
    with store_of(house.server) as store:
        found = store.hvals(keys.key(keys.prefix(user), "registrations", user))
    return [msgspec.json.decode(one, type=Registration) for one in found]


# Registrations


def test_an_app_server_within_reach_is_accepted_with_its_form_as_it_came(house: House) -> None:
    phone = a_phone(house)

    assert "result" == ask(phone, enabled(FORM), type="set").get("type")
    (kept,) = registrations(house, phone)
    assert (BRIDGE, "n1", "", "n1", FORM) == (kept.service, kept.node, kept.app, kept.token, kept.form)


def test_an_app_server_may_want_no_form(house: House) -> None:
    phone = a_phone(house)

    assert "result" == ask(phone, enabled(), type="set").get("type")
    assert [""] == [one.form for one in registrations(house, phone)]


def test_a_form_that_relies_on_prefixes_stands_by_itself(house: House) -> None:
    phone = a_phone(house)
    field = f"<d:field var='FORM_TYPE'><d:value>{ns.PUBSUB_PUBLISH_OPTIONS}</d:value></d:field>"

    phone_enable = f"<p:enable xmlns:p='{ns.PUSH}' xmlns:d='{ns.DATA_FORMS}' jid='{BRIDGE}' node='n1'>"
    ask(phone, f"{phone_enable}<d:x type='submit'>{field}</d:x></p:enable>", type="set")

    (kept,) = registrations(house, phone)
    form = ElementTree.fromstring(kept.form)
    assert (f"{{{ns.DATA_FORMS}}}x", ns.PUBSUB_PUBLISH_OPTIONS) == (form.tag, "".join(form.itertext()))


def test_an_address_at_the_component_may_be_the_service(house: House) -> None:
    phone = a_phone(house)

    ask(phone, enabled(jid=f"push@{BRIDGE}/x"), type="set")

    assert [f"push@{BRIDGE}/x"] == [one.service for one in registrations(house, phone)]


def test_what_an_app_server_is_to_see_encrypted_has_its_key(house: House) -> None:
    phone = a_phone(house)
    key = "AAECAwQFBgcICQoLDA0ODw=="

    ask(phone, enabled(f"<encrypt xmlns='{ns.PUSH_ENCRYPT}' alg='aes-128-gcm'>{key}</encrypt>"), type="set")

    (kept,) = registrations(house, phone)
    assert ("aes-128-gcm", key, "") == (kept.encryption, kept.key, kept.content)


BAD = {
    "out of reach": (enabled(jid="push.elsewhere.example"), "remote-server-not-found"),
    "this server": (enabled(jid=DOMAIN), "remote-server-not-found"),
    "somebody here": (enabled(jid=f"romeo@{DOMAIN}"), "remote-server-not-found"),
    "without a node": (enabled(node=""), "bad-request"),
    "a form of another kind": (enabled(FORM.replace("publish-options", "other")), "bad-request"),
    "two forms": (enabled(FORM + FORM), "bad-request"),
    "a form that is text": (enabled(f"<x xmlns='{ns.DATA_FORMS}'>a</x>"), "bad-request"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_could_not_be_published_is_refused(house: House, what: str) -> None:
    phone = a_phone(house)
    payload, condition = BAD[what]

    assert condition == refusal(phone, payload, type="set")
    assert [] == registrations(house, phone)


def test_the_refusal_of_a_service_out_of_reach_says_why(house: House) -> None:
    answer = ask(a_phone(house), enabled(jid="push.elsewhere.example"), type="set")

    text = "".join(answer.itertext())
    assert "push.elsewhere.example cannot be reached from here" in text


# Disabling


def taken_back(phone: Phone, node: str = "n1", jid: str = "", affiliation: str = "none", sender: str = BRIDGE) -> str:
    return (
        f"<message from='{sender}' to='{phone.account.jid}'><pubsub xmlns='{ns.PUBSUB}' node='{node}'>"
        f"<affiliation jid='{jid or phone.account.jid}' affiliation='{affiliation}'/></pubsub></message>"
    )


def test_a_client_takes_back_one_node_or_the_service(house: House) -> None:
    phone = a_phone(house)
    for node in ("n1", "n2", "n3"):
        ask(phone, enabled(node=node), type="set")

    ask(phone, f"<disable xmlns='{ns.PUSH}' jid='{BRIDGE}' node='n2'/>", type="set")
    assert {"n1", "n3"} == {one.node for one in registrations(house, phone)}
    ask(phone, f"<disable xmlns='{ns.PUSH}' jid='{BRIDGE}'/>", type="set")
    assert [] == registrations(house, phone)


def test_an_app_server_takes_back_a_node(house: House, service: Component) -> None:
    phone = a_phone(house)
    for node in ("n1", "n2"):
        ask(phone, enabled(node=node), type="set")

    service.send(taken_back(phone))

    eventually(lambda: ["n2"] == [one.node for one in registrations(house, phone)], "the registration's end")
    assert "message" in phone.next().tag


@pytest.mark.parametrize(
    "what",
    [{"node": "other"}, {"node": ""}, {"jid": "somebody@localhost"}, {"affiliation": "publish-only"},
     {"sender": f"x@{BRIDGE}"}],
    ids=str,
)  # fmt: skip
def test_what_an_app_server_says_of_something_else_changes_nothing(
    house: House, service: Component, what: dict[str, str]
) -> None:
    phone = a_phone(house)
    ask(phone, enabled(), type="set")

    service.send(taken_back(phone, **what))
    service.round_trip()

    assert ["n1"] == [one.node for one in registrations(house, phone)]


def test_nobody_else_takes_registrations_back(house: House) -> None:
    phone, stranger = a_phone(house), Phone(house.server, house.server.account()).bind().available()
    ask(phone, enabled(), type="set")

    stranger.send(taken_back(phone).replace(f" from='{BRIDGE}'", ""))
    stranger.round_trip()

    assert ["n1"] == [one.node for one in registrations(house, phone)]


# Answers


def taken(answers: PushAnswers, count: int, worker: str = WORKER) -> list[Answer]:
    found: list[Answer] = []

    def is_there() -> bool:
        found.extend(answers.take(worker))
        return len(found) >= count

    eventually(is_there, "the service's answers")
    return found


@pytest.mark.parametrize("to", [DOMAIN, f"push.{DOMAIN}"])
def test_a_result_reaches_the_worker_that_asked(service: Component, answers: PushAnswers, to: str) -> None:
    name = request_id(WORKER, 7)

    service.send(f"<iq type='result' id='{name}' from='{BRIDGE}' to='{to}'/>")

    assert [Answer(id=name, service=BRIDGE, type="result")] == taken(answers, 1)


def test_an_error_reaches_it_with_condition_and_type(service: Component, answers: PushAnswers) -> None:
    name = request_id(WORKER, 8)
    asked = f"<pubsub xmlns='{ns.PUBSUB}'><publish node='n'/></pubsub>"
    conditions = f"<item-not-found xmlns='{ns.STANZAS}'/><text xmlns='{ns.STANZAS}'>gone</text>"

    service.send(
        f"<iq type='error' id='{name}' from='push@{BRIDGE}/x' to='{DOMAIN}'>{asked}"
        f"<error type='cancel'>{conditions}</error></iq>"
    )

    expected = Answer(
        id=name, service=f"push@{BRIDGE}/x", type="error", condition="item-not-found", error_type="cancel"
    )
    assert [expected] == taken(answers, 1)


@pytest.mark.parametrize("inner", ["", "<error/>", "<error type='wait'>text</error>", "no element"])
def test_an_unreadable_error_is_an_error_still(service: Component, answers: PushAnswers, inner: str) -> None:
    service.send(f"<iq type='error' id='{request_id(WORKER, 9)}' from='{BRIDGE}' to='{DOMAIN}'>{inner}</iq>")

    assert [("error", "")] == [(one.type, one.condition) for one in taken(answers, 1)]


def test_answers_come_in_their_order_and_to_whom_they_are_for(service: Component, answers: PushAnswers) -> None:
    for number in range(20):
        service.send(f"<iq type='result' id='push:one:{number}' from='{BRIDGE}' to='{DOMAIN}'/>")
        service.send(f"<iq type='result' id='push:two:{number}' from='{BRIDGE}' to='{DOMAIN}'/>")

    assert [f"push:one:{number}" for number in range(20)] == [one.id for one in taken(answers, 20, "one")]
    assert [f"push:two:{number}" for number in range(20)] == [one.id for one in taken(answers, 20, "two")]


def test_a_list_is_bounded_and_ends_by_itself(house: House, service: Component) -> None:
    service.send(f"<iq type='result' id='push:gone:1' from='{BRIDGE}' to='{DOMAIN}'/>")
    service.round_trip()

    with store_of(house.server) as store:
        eventually(lambda: 0 < store.ttl(f"{keys.PUSH_ANSWERS}gone") <= 120, "a list that expires")


@pytest.mark.parametrize("name", ["push:", "push:x", "push:x:", "push::1", "push:a b:1", f"push:{'w' * 300}:1"])
def test_an_id_that_no_worker_made_is_nobodys(house: House, service: Component, name: str) -> None:
    service.send(f"<iq type='result' id='{name}' from='{BRIDGE}' to='{DOMAIN}'/>")
    service.round_trip()

    with store_of(house.server) as store:
        assert [] == [key for key in store.keys(f"{keys.PUSH_ANSWERS}*") if not key.endswith((b"gone", b"one", b"two"))]


def test_a_client_answers_for_no_service(house: House, answers: PushAnswers) -> None:
    phone = a_phone(house)

    phone.send(f"<iq type='result' id='push:client:1' to='{DOMAIN}'/>")
    phone.round_trip()

    assert [] == answers.take("client")
