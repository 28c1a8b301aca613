"""What the push service answers: registration by ad-hoc commands, publishes, discovery; on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gateway.mailbox import keys
from gateway.mailbox.devices import Devices, Limits
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import STREAMS
from gateway.xmpp import ns
from gateway.xmpp.stanza import peek
from tests.support.iq import below
from workers.appserver.registration import Apps
from workers.appserver.service import Service
from workers.appserver.settings import PeerSettings
from workers.push.settings import AppSettings

DOMAIN = "push.peer.example"
JULIET = "juliet@peer.example/phone"
APPS = {
    "ios": AppSettings(provider="apns"),
    "droid": AppSettings(provider="fcm"),
    "tigase:messenger:apns:1": AppSettings(provider="apns"),
}
TOKEN = "ab" * 32
CONDITION = f"{{{ns.STANZAS}}}"


@dataclass
class Town:
    """A push service, and those who ask it."""

    journal: Journal
    peer: PeerSettings = field(default_factory=PeerSettings)
    tokens: int = 100

    def __post_init__(self) -> None:
        self.devices = Devices(self.journal, DOMAIN, limits=Limits(5, self.tokens, 60_000))
        apps = Apps.allowed(DOMAIN, self.peer.apps, APPS, self.peer.content)
        self.service = Service(DOMAIN, self.peer, self.devices, apps)

    def ask(self, payload: str, *, type_: str = "set", from_: str = JULIET, to: str = DOMAIN) -> ET.Element:
        answer = self.service.answer(
            peek(f"<iq type='{type_}' id='q1' from='{from_}' to='{to}'>{payload}</iq>".encode())
        )
        assert answer is not None
        return ET.fromstring(answer)

    def command(
        self, name: str, fields: dict[str, str] | None = None, *, from_: str = JULIET, **attrs: str
    ) -> ET.Element:
        attributes = "".join(f" {key}='{value}'" for key, value in {"action": "execute", **attrs}.items())
        inner = "" if fields is None else form(fields)
        return self.ask(f"<command xmlns='{ns.COMMANDS}' node='{name}'{attributes}>{inner}</command>", from_=from_)

    def registered(self, name: str = "register", **fields: str) -> dict[str, str]:
        fields = {"app": "ios", "token": TOKEN, **fields} if name == "register" else fields
        return values(self.command(name, {key.replace("__", "-"): value for key, value in fields.items()}))

    def publish(
        self, node: str, secret: str = "", told: dict[str, str] | None = None, *, from_: str = "peer.example"
    ) -> str:
        """Answers the condition of the error, "" for a result."""
        summary = form({"FORM_TYPE": ns.PUSH_SUMMARY, **(told or {"last-message-body": "hi", "message-count": "1"})})
        options = f"<publish-options>{form({'secret': secret})}</publish-options>" if secret else ""
        payload = (
            f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{node}'><item><notification xmlns='{ns.PUSH}'>{summary}"
            f"</notification></item></publish>{options}</pubsub>"
        )
        return condition(self.ask(payload, from_=from_))

    def events(self) -> list[dict[str, str]]:
        found = []
        for name in STREAMS:
            for _, flat in self.journal.call("XRANGE", name, "-", "+"):
                found.append({flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)})
        return found

    def kept(self, node: str) -> list[bytes]:
        jid = f"{node}@{DOMAIN}"
        found: Any = self.journal.call("LRANGE", keys.key(keys.prefix(jid), "offline", jid), 0, -1)
        return list(found)


def form(fields: dict[str, str]) -> str:
    inner = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
    return f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{inner}</x>"


def values(answer: ET.Element) -> dict[str, str]:
    assert "result" == answer.get("type"), ET.tostring(answer)
    fields = answer.iter(f"{{{ns.DATA_FORMS}}}field")
    return {str(one.get("var")): one.findtext(f"{{{ns.DATA_FORMS}}}value", "") for one in fields}


def condition(answer: ET.Element) -> str:
    error = answer.find("error")
    if error is None:
        return ""
    return next(child.tag.removeprefix(CONDITION) for child in error if child.tag.startswith(CONDITION))


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    made = Journal(redis_url)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def town(journal: Journal) -> Town:
    return Town(journal)


# registering


def test_a_device_gets_a_node_of_128_bits_and_a_secret(town: Town) -> None:
    found = town.registered()

    assert DOMAIN == found["jid"]
    assert 32 == len(found["node"])
    assert 32 == len(found["secret"])


def test_who_registers_again_keeps_node_and_secret(town: Town) -> None:
    assert town.registered() == town.registered()


def test_a_device_with_a_name_keeps_them_when_its_token_changes(town: Town) -> None:
    assert town.registered(device__id="7") == town.registered(device__id="7", token="cd" * 32)


def test_a_form_is_shown_to_who_asks_for_it_and_can_then_be_submitted(town: Town) -> None:
    shown = town.command("register")
    command = below(shown, f"{{{ns.COMMANDS}}}command")
    sid = command.get("sessionid", "")
    done = town.command("register", {"app": "ios", "token": TOKEN}, action="complete", sessionid=sid)

    assert "executing" == command.get("status")
    assert {"app", "token", "endpoint", "environment", "content"} <= set(values(shown))
    assert values(done) == town.registered()
    assert sid == below(done, f"{{{ns.COMMANDS}}}command").get("sessionid")


def test_a_command_can_be_canceled(town: Town) -> None:
    command = below(town.command("register", action="cancel"), f"{{{ns.COMMANDS}}}command")

    assert "canceled" == command.get("status")


@pytest.mark.parametrize(
    ("name", "attrs", "expected"),
    [("no-such", {}, "item-not-found"), ("register", {"action": "prev"}, "bad-request")],
)
def test_what_is_no_command_is_refused(town: Town, name: str, attrs: dict[str, str], expected: str) -> None:
    assert expected == condition(town.command(name, None, **attrs))


def test_servers_register_no_devices(town: Town) -> None:
    assert "forbidden" == condition(town.command("register", {"app": "ios", "token": TOKEN}, from_="peer.example"))


def test_conversations_fields_are_understood(town: Town) -> None:
    found = town.registered("register-push-fcm", token="t", android__id="7")

    assert {"jid", "node", "secret"} == set(found)
    assert found == town.registered("register-push-fcm", token="t2", device__id="7")
    assert {} == town.registered("unregister-push-fcm", device__id="7")
    assert "item-not-found" == town.publish(found["node"], found["secret"])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"token": "t"}, "bad-request"),
        ({"android-id": "7"}, "bad-request"),
        ({"token": "t", "android-id": "7", "muc": "room@rooms.example"}, "feature-not-implemented"),
    ],
)
def test_what_is_missing_for_conversations_command_is_said(town: Town, fields: dict[str, str], expected: str) -> None:
    assert expected == condition(town.command("register-push-fcm", fields))


def test_siskins_fields_are_understood_and_its_publishes_need_no_secret(town: Town) -> None:
    fields = {"provider": "tigase:messenger:apns:1", "device__token": TOKEN, "device__second__token": "cd" * 32}
    found = town.registered("register-device", **{k.replace("__", "-"): v for k, v in fields.items()})

    assert {"jid", "node", "max-payload-size"} == set(found)
    assert "" == town.publish(found["node"])
    assert {} == town.registered("unregister-device", provider=fields["provider"], **{"device-token": TOKEN})
    assert "item-not-found" == town.publish(found["node"])


def test_too_many_tokens_are_refused_for_a_while(journal: Journal) -> None:
    town = Town(journal, tokens=1)
    town.registered()
    refused = town.command("register", {"app": "ios", "token": "cd" * 32})

    assert "resource-constraint" == condition(refused)
    assert "wait" == below(refused, "error").get("type")


# publishing


def test_a_publish_is_an_event_before_it_is_answered(town: Town) -> None:
    found = town.registered()
    assert "" == town.publish(found["node"], found["secret"])
    (event,) = town.events()

    assert (f"{found['node']}@{DOMAIN}", "", "published", "message") == (
        event["user"], event["sid"], event["reason"], event["class"]
    )  # fmt: skip


@pytest.mark.parametrize(("from_", "expected"), [
    ("peer.example", ""),
    ("juliet@peer.example", ""),
    ("juliet@peer.example/phone", "forbidden"),
    ("romeo@peer.example", "forbidden"),
    ("other.example", "forbidden"),
])  # fmt: skip
def test_only_the_server_of_who_registered_may_publish(town: Town, from_: str, expected: str) -> None:
    found = town.registered()

    assert expected == town.publish(found["node"], found["secret"], from_=from_)


@pytest.mark.parametrize("secret", ["", "another"])
def test_a_wrong_secret_is_forbidden(town: Town, secret: str) -> None:
    assert "forbidden" == town.publish(town.registered()["node"], secret)
    assert [] == town.events()


@pytest.mark.parametrize("node", ["0" * 32, "x", "../etc", "a@b", "0" * 5000])
def test_an_unknown_node_is_not_found(town: Town, node: str) -> None:
    assert "item-not-found" == town.publish(node, "s")


def test_what_has_no_body_wakes_nobody(town: Town) -> None:
    found = town.registered()

    assert "" == town.publish(found["node"], found["secret"], {"message-count": "1"})
    assert [] == town.events()


def test_it_does_if_the_operator_says_so(journal: Journal) -> None:
    town = Town(journal, PeerSettings(unimportant="wake"))
    found = town.registered()
    town.publish(found["node"], found["secret"], {"message-count": "1"})

    assert 1 == len(town.events())


@pytest.mark.parametrize(("content", "is_kept"), [("none", False), ("body", True)])
def test_no_more_is_kept_than_the_operator_allows(journal: Journal, content: str, is_kept: bool) -> None:
    town = Town(journal, PeerSettings(content=content))
    found = town.registered()
    town.publish(found["node"], found["secret"], {"last-message-body": "Wherefore"})

    assert is_kept == (b"Wherefore" in b"".join(town.kept(found["node"])))


def test_a_count_of_nothing_takes_back_what_waits(town: Town) -> None:
    found = town.registered()
    town.publish(found["node"], found["secret"])
    town.publish(found["node"], found["secret"], {"message-count": "0"})

    assert [] == town.kept(found["node"])


def test_while_redis_is_away_the_peer_is_told_to_come_again(redis_url: str) -> None:
    town = Town(Journal(redis_url, timeout_s=0.1))  # never started: as if nobody answered
    payload = f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{'0' * 32}'><item><notification xmlns='{ns.PUSH}'/></item>"
    answer = town.ask(f"{payload}</publish></pubsub>", from_="peer.example")

    assert "internal-server-error" == condition(answer)
    assert "wait" == below(answer, "error").get("type")


# the rest


@pytest.mark.parametrize("payload", [f"<ping xmlns='{ns.PING}'/>", f"<query xmlns='{ns.VERSION}'/>"])
def test_it_says_that_it_is_there(town: Town, payload: str) -> None:
    assert "result" == town.ask(payload, type_="get").get("type")


def test_disco_says_that_it_is_a_push_service_and_names_tigases_providers(town: Town) -> None:
    answer = town.ask(f"<query xmlns='{ns.DISCO_INFO}'/>", type_="get")
    features = {one.get("var") for one in answer.iter(f"{{{ns.DISCO_INFO}}}feature")}

    assert {("pubsub", "push")} == {
        (one.get("category"), one.get("type")) for one in answer.iter(f"{{{ns.DISCO_INFO}}}identity")
    }
    assert {ns.PUSH, ns.COMMANDS, "tigase:messenger:apns:1"} <= features
    assert "ios" not in features


def test_each_command_is_listed_and_described(town: Town) -> None:
    listed = town.ask(f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>", type_="get")
    nodes = [str(one.get("node")) for one in listed.iter(f"{{{ns.DISCO_ITEMS}}}item")]
    described = [
        town.ask(f"<query xmlns='{ns.DISCO_INFO}' node='{node}'/>", type_="get") for node in [*nodes, ns.COMMANDS]
    ]

    assert 8 == len(nodes)
    assert {"result"} == {answer.get("type") for answer in described}
    assert "item-not-found" == condition(town.ask(f"<query xmlns='{ns.DISCO_INFO}' node='no'/>", type_="get"))


@pytest.mark.parametrize(
    ("payload", "type_", "to", "expected"),
    [
        ("<other xmlns='urn:example'/>", "get", DOMAIN, "service-unavailable"),
        (f"<ping xmlns='{ns.PING}'/>", "get", f"node@{DOMAIN}", "item-not-found"),
        (f"<ping xmlns='{ns.PING}'/>" * 2, "get", DOMAIN, "bad-request"),
        (f"<pubsub xmlns='{ns.PUBSUB}'/>", "set", DOMAIN, "feature-not-implemented"),
        (f"<pubsub xmlns='{ns.PUBSUB}'><publish/></pubsub>", "set", DOMAIN, "feature-not-implemented"),
    ],
)
def test_what_it_does_not_know_is_an_error(town: Town, payload: str, type_: str, to: str, expected: str) -> None:
    assert expected == condition(town.ask(payload, type_=type_, to=to))


def test_a_long_request_is_not_looked_into(town: Town) -> None:
    assert "not-acceptable" == condition(town.command("register", {"app": "ios", "token": "a" * 70_000}))


def test_an_app_need_not_be_named_where_there_is_but_one(journal: Journal) -> None:
    town = Town(journal, PeerSettings(apps=["ios"]))

    assert 32 == len(values(town.command("register", {"token": TOKEN}))["node"])
    assert "item-not-found" == condition(Town(journal).command("register", {"token": TOKEN}))


@pytest.mark.parametrize(
    "stanza",
    [
        "<message from='a@b' to='c'><body>x</body></message>",
        "<presence from='a@b' to='c' type='subscribe'/>",
        "<iq type='result' id='1' from='a' to='b'/>",
        "<iq type='error' id='1' from='a' to='b'/>",
    ],
)
def test_what_needs_no_answer_gets_none(town: Town, stanza: str) -> None:
    assert town.service.answer(peek(stanza.encode())) is None
