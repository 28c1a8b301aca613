"""Web Push: browsers that come and go, and what goes wrong when it is told to."""

import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.sandbox.clients import control
from tests.sandbox.test_other_clients import run_client
from tests.sandbox.webpush_client import encrypted, public_text, send, the_key
from workers.sandbox.server import Sandbox


def events(sandbox: Sandbox) -> list[tuple[str, int]]:
    return [(line.event, line.push) for line in sandbox.deliveries.since()]


def test_a_browser_that_is_online_gets_its_messages_at_once(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe()
    send(sandbox, subscription)

    assert [("delivered", 1)] == events(sandbox)


def test_of_a_topic_the_newest_is_kept_and_of_no_topic_all(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe("juliet")
    control(sandbox, "POST", "/control/webpush/devices/juliet", {"online": False})
    for topic in ("a", "b", "a", None, None):
        send(sandbox, subscription, topic=topic)
    control(sandbox, "POST", "/control/webpush/devices/juliet", {"online": True})

    assert [2, 3, 4, 5] == [push for event, push in events(sandbox) if event == "delivered"]
    assert [("replaced", 1)] == [line for line in events(sandbox) if line[0] == "replaced"]


def test_a_message_is_kept_as_long_as_its_time_to_live_and_with_0_not_at_all(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe("juliet")
    control(sandbox, "POST", "/control/webpush/devices/juliet", {"online": False})
    for ttl in ("0", "10", "1000"):
        send(sandbox, subscription, ttl=ttl)
    sandbox.clock.advance(60)
    control(sandbox, "POST", "/control/webpush/devices/juliet", {"online": True})

    assert [("dropped", 1), ("expired", 2), ("delivered", 3)] == [
        line for line in events(sandbox) if line[0] != "stored"
    ]


def test_a_time_to_live_beyond_what_is_kept_is_cut_and_the_answer_says_so(sandbox: Sandbox) -> None:
    assert str(30 * 86_400) == send(sandbox, sandbox.subscribe(), ttl="9999999").headers["TTL"]


@pytest.mark.parametrize(
    ("state", "expected"), [("unregistered", (410, "Unsubscribed")), ("expired", (404, "NoSuchSubscription"))]
)
def test_a_browser_that_unsubscribed_is_gone_until_it_subscribes_again(
    sandbox: Sandbox, state: str, expected: tuple[int, str]
) -> None:
    subscription = sandbox.subscribe("juliet")
    control(sandbox, "POST", "/control/webpush/devices/juliet", {"state": state})
    answer = send(sandbox, subscription)
    control(sandbox, "POST", "/control/webpush/devices/juliet", {})

    assert expected == (answer.status, answer.reason)
    assert 201 == send(sandbox, subscription).status


def test_the_control_port_subscribes_as_a_browser_does(sandbox: Sandbox) -> None:
    key = public_text(the_key(sandbox))
    said = control(sandbox, "POST", "/control/webpush/subscriptions", {"application_server_key": key}).json()
    listed = control(sandbox, "GET", "/control/webpush/subscriptions").json()

    assert [said] == listed["subscriptions"]
    assert {"endpoint", "expirationTime", "keys"} == set(said)


@pytest.mark.parametrize(
    "form", [{"name": "a b"}, {"name": "x" * 201}, {"application_server_key": "AAAA"}, {"colour": "red"}], ids=str
)
def test_a_wrong_subscription_is_said_to_be_one(sandbox: Sandbox, form: dict[str, Any]) -> None:
    answer = control(sandbox, "POST", "/control/webpush/subscriptions", form)

    assert 400 == answer.status
    assert answer.json()["error"]


FAULTS: list[tuple[dict[str, Any], int]] = [
    ({"status": 404}, 404),
    ({"status": 410}, 410),
    ({"reason": "TooManyRequests"}, 429),
    ({"reason": "ServiceUnavailable"}, 503),
    ({"reason": "InsufficientStorage"}, 507),
    ({"status": 502}, 502),
    ({"status": 413}, 413),
    ({"status": 202}, 202),
]


@pytest.mark.parametrize(("fault", "status"), FAULTS, ids=[str(fault) for fault, _ in FAULTS])
def test_a_fault_is_met_as_often_as_it_was_armed_for(sandbox: Sandbox, fault: dict[str, Any], status: int) -> None:
    subscription = sandbox.subscribe("juliet")
    control(sandbox, "POST", "/control/webpush/tokens/juliet", {**fault, "times": 1})

    assert [status, 201] == [send(sandbox, subscription).status for _ in range(2)]


def test_retry_after_has_both_forms(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe()
    found = []
    for form in ("seconds", "date"):
        sandbox.arm_webpush(reason="TooManyRequests", retry_after_s=120, retry_after_form=form)
        found.append(send(sandbox, subscription).headers["Retry-After"])

    assert "120" == found[0]
    assert 100 <= parsedate_to_datetime(found[1]).timestamp() - time.time() <= 121


def test_a_redirect_leads_where_it_was_told_to(sandbox: Sandbox) -> None:
    sandbox.arm_webpush(status=307, location="http://127.0.0.1:1/inside")
    answer = send(sandbox, sandbox.subscribe())

    assert (307, "http://127.0.0.1:1/inside") == (answer.status, answer.headers["Location"])


def test_a_name_alone_brings_a_status(sandbox: Sandbox) -> None:
    statuses = [send(sandbox, sandbox.subscribe(f"fail-{status}-x")).status for status in (410, 429, 503)]

    assert [410, 429, 503] == statuses


def test_a_push_that_comes_twice_is_counted(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe()
    for push_id in ("one", "two", "one"):
        send(sandbox, subscription, encrypted(subscription, json.dumps({"push_id": push_id}).encode()))

    assert 1 == sandbox.stats()["webpush_duplicates"]


def test_pywebpush_pushes_and_learns_what_became_of_it(sandbox: Sandbox) -> None:
    key = public_text(the_key(sandbox))
    names = ["juliet", "fail-410-romeo", "fail-429-nurse"]
    said = [json.dumps(sandbox.subscribe(name, application_server_key=key).as_json()) for name in names]

    outcomes = run_client(sandbox, "pywebpush_push", *said)

    assert [["sent", 201], ["failed", 410], ["failed", 429]] == outcomes
    (push,) = sandbox.record.since(0, status=201)
    assert ({"kind": "wake"}, "wakegate", "high") == (push.payload, push.headers["topic"], push.headers["urgency"])
