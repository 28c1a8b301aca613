"""FCM: what a message must look like, as strictly as proto3 JSON is read."""

from typing import Any

import pytest

from tests.sandbox.clients import access_token, send_to_fcm
from workers.sandbox.server import Sandbox


def message(**fields: Any) -> dict[str, Any]:
    return {"message": {"token": "device", **fields}}


RIGHT = [
    message(),
    message(data={"a": "b"}),
    message(android={"collapseKey": "k", "priority": "HIGH", "ttl": "3.5s"}),
    message(android={"collapse_key": "k", "priority": "high", "restricted_package_name": "org.example"}),
    message(android={"ttl": "0s", "directBootOk": True, "fcm_options": {"analytics_label": "x"}}),
    message(android={"ttl": "2419200s"}),
    message(notification={"title": "t", "body": "b"}, fcmOptions={"analyticsLabel": "x"}),
    message(android={"notification": {"notification_count": 3, "visibility": "private", "body_loc_args": ["x"]}}),
    message(apns={"headers": {"apns-priority": "10"}, "payload": {"aps": {"anything": [1, {"x": None}]}}}),
    message(webpush={"notification": {"any": {"thing": 1}}, "headers": {"TTL": "1"}}),
    message(data=None),
    {"message": {"topic": "news"}},
    {"message": {"condition": "'a' in topics"}},
    {"message": {"fid": "device"}},
]
WRONG_JSON = [
    (message(colour="red"), ["message"]),
    (message(android={"prio": "HIGH"}), ["message.android"]),
    ({"message": {"token": "device"}, "dry": True}, [""]),
    (message(data={"a": 5}), ["message.data[0].value"]),
    (message(data={"ok": "x", "b": {"c": "d"}}), ["message.data[1].value"]),
    (message(data=["a"]), ["message.data"]),
    (message(android={"priority": "URGENT"}), ["message.android.priority"]),
    (message(android={"ttl": 3600}), ["message.android.ttl"]),
    (message(android={"ttl": "3600"}), ["message.android.ttl"]),
    (message(android={"ttl": "1h"}), ["message.android.ttl"]),
    (message(notification="hello"), ["message.notification"]),
    (message(android={"directBootOk": "yes"}), ["message.android.directBootOk"]),
    (message(android={"notification": {"bodyLocArgs": [1]}}), ["message.android.notification.bodyLocArgs[0]"]),
    (message(apns={"payload": "{}"}), ["message.apns.payload"]),
    ({"message": {"token": 5}}, ["message.token"]),
    ({"message": "hello"}, ["message"]),
    ([], [""]),
    (message(one="x", two="y"), ["message", "message"]),
]
WRONG_MESSAGES = [
    ({"message": {"data": {"a": "b"}}}, "message"),
    ({"message": {}}, "message"),
    ({}, "message"),
    ({"message": {"token": "device", "topic": "news"}}, "message"),
    ({"message": {"topic": "no spaces"}}, "message.topic"),
    (message(data={"from": "x"}), "message.data"),
    (message(data={"message_type": "x"}), "message.data"),
    (message(data={"google.x": "x"}), "message.data"),
    (message(data={"gcm.x": "x"}), "message.data"),
    (message(android={"data": {"gcm.x": "x"}}), "message.android.data"),
    (message(android={"ttl": "2419201s"}), "message.android.ttl"),
    (message(android={"ttl": "-1s"}), "message.android.ttl"),
]


def test_right_messages_are_accepted_in_both_spellings(sandbox: Sandbox) -> None:
    token = access_token(sandbox)

    statuses = [send_to_fcm(sandbox, request, token=token).status for request in RIGHT]

    assert [200] * len(RIGHT) == statuses


def test_json_that_is_no_message_is_answered_with_the_fields_that_are_wrong(sandbox: Sandbox) -> None:
    token = access_token(sandbox)

    answers = [send_to_fcm(sandbox, request, token=token) for request, _ in WRONG_JSON]

    assert [(400, fields) for _, fields in WRONG_JSON] == [(a.status, a.violated_fields) for a in answers]
    assert {"INVALID_ARGUMENT"} == {answer.json()["error"]["status"] for answer in answers}
    assert [[]] * len(answers) == [answer.fcm_codes for answer in answers]


def test_a_message_that_breaks_a_rule_is_answered_with_both_details(sandbox: Sandbox) -> None:
    token = access_token(sandbox)

    answers = [send_to_fcm(sandbox, request, token=token) for request, _ in WRONG_MESSAGES]

    assert [(400, [field]) for _, field in WRONG_MESSAGES] == [(a.status, a.violated_fields) for a in answers]
    assert [["INVALID_ARGUMENT"]] * len(answers) == [answer.fcm_codes for answer in answers]


def test_a_body_that_is_not_json_is_an_invalid_argument(sandbox: Sandbox) -> None:
    answer = send_to_fcm(sandbox, None, raw=b'{"message": {"token": ')

    assert (400, "INVALID_ARGUMENT") == (answer.status, answer.json()["error"]["status"])


@pytest.mark.parametrize(("target", "limit"), [("token", 4096), ("topic", 2048)])
def test_a_message_may_have_the_limit_and_not_a_byte_more(sandbox: Sandbox, target: str, limit: int) -> None:
    token = access_token(sandbox)

    statuses = [
        send_to_fcm(sandbox, {"message": {target: "x", "data": {"k": "v" * (size - 1)}}}, token=token).status
        for size in (limit, limit + 1)
    ]

    assert [200, 400] == statuses


def test_validate_only_checks_and_sends_nothing(sandbox: Sandbox) -> None:
    token = access_token(sandbox)
    right = send_to_fcm(sandbox, {**message(), "validate_only": True}, token=token)
    wrong = send_to_fcm(sandbox, {**message(colour="red"), "validateOnly": True}, token=token)

    assert (200, "projects/wakegate-demo/messages/fake_message_id") == (right.status, right.json()["name"])
    assert 400 == wrong.status


def test_a_message_is_recorded_as_it_came(sandbox: Sandbox) -> None:
    sent = send_to_fcm(sandbox, message(data={"a": "b"}))

    [push] = sandbox.record.since(0)
    assert ("fcm", "device", 200) == (push.provider, push.token, push.status)
    assert message(data={"a": "b"}) == push.payload
    assert sent.json()["name"] == push.push_id
    assert "authorization" not in push.headers


def test_other_paths_are_not_found(sandbox: Sandbox) -> None:
    answer = send_to_fcm(sandbox, message(), project="a/b")

    assert 404 == answer.status
    assert "text/html; charset=UTF-8" == answer.headers["Content-Type"]
