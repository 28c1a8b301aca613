"""XEP-0357 towards an app server: what is published there, and what follows from each answer."""

from __future__ import annotations

import base64
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult

from gateway.mailbox.components import Claimed, Components
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.push_answers import Answer, PushAnswers
from gateway.mailbox.pushes import Registration
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from gateway.xmpp import ns
from tests.push.builders import a_push
from tests.support.iq import below
from workers.push.breaker import BreakerRules, State
from workers.push.notification import Content, Push
from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.providers.appserver.answers import react
from workers.push.providers.appserver.client import Client
from workers.push.providers.appserver.payload import publish
from workers.push.providers.appserver.servers import AppServers

SERVICE = "push.app.example"
FORM = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"
    "http://jabber.org/protocol/pubsub#publish-options</value></field>"
    "<field var='secret'><value>eruio &amp; vzxc</value></field><field var='odd'/></x>"
)
SUMMARY = f"{{{ns.PUSH}}}notification/{{{ns.DATA_FORMS}}}x/{{{ns.DATA_FORMS}}}field"


def a_registration(**changes: Any) -> Registration:
    values: dict[str, Any] = {
        "service": SERVICE, "node": "n<1>", "sid": "s", "resource": "phone", "app": "", "token": "n<1>", "form": FORM
    }  # fmt: skip
    return Registration(**{**values, **changes})


def a_foreign_push(registration: Registration | None = None, **changes: Any) -> Push:
    registration = registration or a_registration()
    values = {
        "app": "", "token": registration.token, "node": registration.node, "domain": "localhost",
        "registration": registration, "sender": "romeo@localhost", "body": "Wherefore?", "count": 2,
    }  # fmt: skip
    return a_push(**{**values, **changes})


def item_of(payload: bytes) -> ET.Element:
    return below(ET.fromstring(payload), f"{{{ns.PUBSUB}}}publish/{{{ns.PUBSUB}}}item")


def summary_of(payload: bytes) -> dict[str, str]:
    fields = item_of(payload).findall(SUMMARY)
    return {str(field.get("var")): field.findtext(f"{{{ns.DATA_FORMS}}}value", "") for field in fields}


# what is published


def test_by_default_counts_are_all_that_is_told() -> None:
    payload = publish(a_foreign_push(requests=1), node="n")

    assert {
        "FORM_TYPE": "urn:xmpp:push:summary",
        "message-count": "2",
        "pending-subscription-count": "1",
    } == summary_of(payload)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (Content.NONE, set()),
        (Content.SENDER, {"last-message-sender"}),
        (Content.BODY, {"last-message-sender", "last-message-body"}),
    ],
)
def test_sender_and_body_are_told_as_far_as_it_is_allowed(content: Content, told: set[str]) -> None:
    found = summary_of(publish(a_foreign_push(content=content), node="n"))

    assert told == set(found) & {"last-message-sender", "last-message-body"}


def test_what_is_told_is_who_and_what() -> None:
    found = summary_of(publish(a_foreign_push(content=Content.BODY), node="n"))

    assert ("romeo@localhost", "Wherefore?") == (found["last-message-sender"], found["last-message-body"])


def test_unread_messages_are_counted_where_they_are_known() -> None:
    assert "9" == summary_of(publish(a_foreign_push(unread=9), node="n"))["message-count"]


def test_a_count_of_nothing_is_never_published_since_it_says_that_all_was_read() -> None:
    assert {} == summary_of(publish(a_foreign_push(kind="restart", count=0, unread=0), node="n"))


def test_publish_options_are_passed_on_as_they_came() -> None:
    assert f"<publish-options>{FORM}</publish-options>".encode() in publish(a_foreign_push(), node="n")


def test_without_options_there_are_none() -> None:
    assert b"publish-options" not in publish(a_foreign_push(a_registration(form="")), node="n")


def test_a_push_that_is_tried_again_is_the_same_item() -> None:
    push = a_foreign_push()

    assert {push.push_id} == {item_of(publish(push, node="n")).get("id") for _ in range(2)}


@pytest.mark.parametrize(("is_urgent", "priority"), [(True, "high"), (False, "low")])
def test_its_priority_is_told(is_urgent: bool, priority: str) -> None:
    item = item_of(publish(a_foreign_push(urgent=is_urgent), node="n"))

    assert priority == item.findtext(f"{{{ns.PUSH}}}notification/{{tigase:push:priority:0}}priority")


def test_with_a_key_nobody_on_the_way_reads_anything() -> None:
    key = base64.b64encode(bytes(16)).decode()
    registration = a_registration(encryption="aes-128-gcm", key=key)
    payload = publish(a_foreign_push(registration, content=Content.BODY), node="n")
    sealed = item_of(payload).find(f"{{{ns.PUSH}}}notification/{{tigase:push:encrypt:0}}encrypted")

    assert sealed is not None
    assert sealed.get("iv")
    assert sealed.text
    assert {} == summary_of(payload)
    assert b"Wherefore" not in payload
    assert b"romeo" not in payload


def test_a_long_body_is_cut() -> None:
    payload = publish(a_foreign_push(content=Content.BODY, body="<é" * 20_000), node="n")

    assert len(payload) < 5000
    assert summary_of(payload)["last-message-body"].endswith("…")


def test_a_node_cannot_break_out() -> None:
    node = "'/><evil xmlns='"
    publishing = ET.fromstring(publish(a_foreign_push(), node=node)).find(f"{{{ns.PUBSUB}}}publish")

    assert publishing is not None
    assert node == publishing.get("node")


# what is answered

ANSWERED: list[tuple[str, str, type[Outcome]]] = [
    ("item-not-found", "cancel", TokenGone),
    ("gone", "cancel", TokenGone),
    ("forbidden", "auth", TokenGone),
    ("not-authorized", "auth", TokenGone),
    ("not-allowed", "cancel", TokenGone),
    ("registration-required", "auth", TokenGone),
    ("conflict", "cancel", TokenGone),
    ("item-not-found", "wait", Later),
    ("remote-server-timeout", "wait", Later),
    ("remote-server-not-found", "cancel", Later),
    ("service-unavailable", "cancel", Later),
    ("recipient-unavailable", "wait", Later),
    ("resource-constraint", "wait", Later),
    ("internal-server-error", "cancel", Later),
    ("policy-violation", "wait", Later),
    ("bad-request", "modify", Refused),
    ("feature-not-implemented", "cancel", Refused),
    ("", "", Refused),
]


@pytest.mark.parametrize(("condition", "type_", "outcome"), ANSWERED)
def test_each_error_has_its_consequence(condition: str, type_: str, outcome: type[Outcome]) -> None:
    answer = Answer(id="i", service=SERVICE, type="error", condition=condition, error_type=type_)

    assert isinstance(react(answer, push_id="p", asked_ms=1).outcome, outcome)


def test_a_registration_that_was_made_anew_meanwhile_is_not_meant() -> None:
    answer = Answer(id="i", service=SERVICE, type="error", condition="item-not-found", error_type="cancel")

    assert TokenGone(1234, "item-not-found") == react(answer, push_id="p", asked_ms=1234).outcome


# there and back


class Town:
    """An app server's mailbox, and what a gateway does for its connection."""

    def __init__(self, url: str) -> None:
        self.journal = Journal(url)
        self.journal.start()
        self.mailbox = Mailbox(
            self.journal, node="n1", smacks=SmacksSettings(), offline=OfflineSettings(), components=[SERVICE]
        )
        self.servers = AppServers(
            Client(self.mailbox), domain="first.example", request_timeout_s=1.0,
            rules=BreakerRules(faults=3, open_s=60.0),
        )  # fmt: skip
        self.claimed: Claimed | None = None

    def connect(self) -> None:
        claimed = Components(self.mailbox).claim(domain=SERVICE, sid="bridge", owner="o", wait_ms=0)
        assert isinstance(claimed, Claimed)
        self.claimed = claimed

    def requests(self) -> list[ET.Element]:
        assert self.claimed is not None
        answer: AsyncResult[Any] = AsyncResult()
        self.mailbox.read(self.claimed.grip, position=1, most=100, most_bytes=10**6, done=answer.set)
        return [ET.fromstring(one.stanza) for one in answer.get(timeout=10)[1]]

    def answer(self, type_: str = "result", condition: str = "", *, service: str = SERVICE, number: int = 0) -> None:
        """What a gateway hands on of the component's answer."""
        wait_until(lambda: len(self.requests()) > number)
        found = Answer(
            id=str(self.requests()[number].get("id")), service=service, type=type_, condition=condition,
            error_type="cancel" if condition else "",
        )  # fmt: skip
        PushAnswers(self.journal).put(found, lambda _: None)

    def leave(self) -> None:
        self.servers.close()
        self.journal.stop()


@pytest.fixture
def town(redis_url: str) -> Iterator[Town]:
    made = Town(redis_url)
    yield made
    made.leave()


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        gevent.sleep(0.01)


def sending(town: Town, push: Push | None = None) -> gevent.Greenlet:
    return gevent.spawn(town.servers.of(SERVICE).send, push or a_foreign_push())


def test_the_request_comes_from_the_accounts_domain(town: Town) -> None:
    town.connect()
    push = a_foreign_push()
    greenlet = sending(town, push)
    town.answer()
    (request,) = town.requests()

    assert Delivered(push.push_id) == greenlet.get(timeout=10)
    assert ("localhost", SERVICE, "set") == (request.get("from"), request.get("to"), request.get("type"))


def test_an_app_that_is_configured_has_its_devices_tokens_as_nodes(town: Town) -> None:
    town.connect()
    greenlet = sending(town, a_push(app="chat", token="the-token", domain=""))
    town.answer()
    (request,) = town.requests()

    assert isinstance(greenlet.get(timeout=10), Delivered)
    assert "the-token" == below(request, f"{{{ns.PUBSUB}}}pubsub/{{{ns.PUBSUB}}}publish").get("node")
    assert "first.example" == request.get("from")


def test_an_unknown_node_ends_the_registration(town: Town) -> None:
    town.connect()
    greenlet = sending(town)
    town.answer("error", "item-not-found")
    outcome = greenlet.get(timeout=10)

    assert isinstance(outcome, TokenGone)
    assert "item-not-found" == outcome.reason


def test_many_at_once_get_each_its_own_answer(town: Town) -> None:
    town.connect()
    pushes = [a_foreign_push() for _ in range(20)]
    greenlets = [sending(town, push) for push in pushes]
    for number in reversed(range(20)):
        town.answer(number=number)

    assert [push.push_id for push in pushes] == [greenlet.get(timeout=10).id for greenlet in greenlets]


def test_what_somebody_else_answers_is_not_believed(town: Town) -> None:
    town.connect()
    greenlet = sending(town)
    town.answer("error", "item-not-found", service="bridge.localhost")

    assert isinstance(greenlet.get(timeout=10), Later)


def test_an_app_server_that_is_not_connected_is_asked_later_and_left_alone_after_some_tries(town: Town) -> None:
    outcomes = [sending(town).get(timeout=10) for _ in range(4)]

    assert ["remote-server-timeout"] * 3 == [outcome.reason for outcome in outcomes[:3]]
    assert all(isinstance(outcome, Later) for outcome in outcomes)
    assert State.OPEN is town.servers.of(SERVICE).breaker.state
    assert not outcomes[3].is_tried


def test_one_that_does_not_answer_does_not_hold_a_push_for_ever(town: Town) -> None:
    town.connect()
    started = time.monotonic()
    outcome = sending(town).get(timeout=10)

    assert Later(None, "remote-server-timeout") == outcome
    assert time.monotonic() - started < 5


def test_one_that_cannot_be_reached_from_here_is_not_asked(town: Town) -> None:
    elsewhere = "push.elsewhere.example"
    outcome = town.servers.of(elsewhere).send(a_foreign_push(a_registration(service=elsewhere)))

    assert Later(None, "remote-server-not-found") == outcome


def test_what_is_no_address_is_refused_for_good(town: Town) -> None:
    push = a_foreign_push(a_registration(service="@@"))

    assert Refused("jid-malformed", alert=True) == town.servers.of("@@").send(push)


def test_an_expired_push_is_not_sent(town: Town) -> None:
    town.connect()

    assert Refused("expired", alert=False) == sending(town, a_foreign_push(expires_at=1.0)).get(timeout=10)
    assert [] == town.requests()


def test_each_app_server_has_a_breaker_of_its_own(town: Town) -> None:
    assert town.servers.of(SERVICE) is town.servers.of(f"bot@{SERVICE}/x")
    assert town.servers.of(SERVICE).breaker is not town.servers.of("push.elsewhere.example").breaker


def test_a_check_says_whether_it_answers(town: Town) -> None:
    provider = town.servers.of(SERVICE)
    absent = provider.check()
    town.connect()
    checking = gevent.spawn(provider.check)
    town.answer("error", "feature-not-implemented")

    assert not absent.ok
    assert checking.get(timeout=10).ok
