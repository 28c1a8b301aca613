"""APNs: what a request must look like. Every reason of Apple's table can be met."""

import json

import pytest

from tests.sandbox.clients import DEVICE, PAYLOAD, ApnsClient, headers_for, provider_token
from workers.sandbox.apns.reasons import PREFIXES, STATUS_OF
from workers.sandbox.material import TOPIC
from workers.sandbox.server import Sandbox


def payload_of(size: int) -> bytes:
    empty = json.dumps({"aps": {"alert": ""}}).encode()
    return json.dumps({"aps": {"alert": "x" * (size - len(empty))}}).encode()


WRONG_HEADERS: list[tuple[dict[str, str | None], str]] = [
    ({"apns_topic": None}, "MissingTopic"),
    ({"apns_topic": "no topic"}, "BadTopic"),
    ({"apns_push_type": "voip"}, "BadTopic"),
    ({"apns_push_type": "shout"}, "InvalidPushType"),
    ({"apns_id": "1"}, "BadMessageId"),
    ({"apns_id": "aaaaaaaa111122223333444444444444"}, "BadMessageId"),
    ({"apns_expiration": "soon"}, "BadExpirationDate"),
    ({"apns_expiration": "1.5"}, "BadExpirationDate"),
    ({"apns_priority": "7"}, "BadPriority"),
    ({"apns_priority": ""}, "BadPriority"),
    ({"apns_push_type": "background", "apns_priority": "10"}, "BadPriority"),
    ({"apns_collapse_id": "x" * 65}, "BadCollapseId"),
    ({"apns_collapse_id": "é" * 33}, "BadCollapseId"),
]
RIGHT_HEADERS: list[dict[str, str | None]] = [
    {},
    {"apns_push_type": None},
    {"apns_push_type": "background", "apns_priority": "5"},
    {"apns_push_type": "background"},
    {"apns_push_type": "voip", "apns_topic": f"{TOPIC}.voip"},
    {"apns_push_type": "location", "apns_topic": f"{TOPIC}.location-query"},
    {"apns_priority": "1"},
    {"apns_expiration": "0"},
    {"apns_expiration": "1999999999"},
    {"apns_collapse_id": "x" * 64},
    {"apns_id": "AAAAAAAA-1111-2222-3333-444444444444"},
]


def test_each_wrong_header_has_its_reason(sandbox: Sandbox) -> None:
    token = provider_token(sandbox)
    with ApnsClient(sandbox) as client:
        replies = [client.push(headers_for(token, **changes)) for changes, _ in WRONG_HEADERS]

    assert [(400, reason) for _, reason in WRONG_HEADERS] == [(r.status, r.reason) for r in replies]


def test_right_headers_are_accepted(sandbox: Sandbox) -> None:
    token = provider_token(sandbox)
    with ApnsClient(sandbox) as client:
        statuses = [client.push(headers_for(token, **changes)).status for changes in RIGHT_HEADERS]

    assert [200] * len(RIGHT_HEADERS) == statuses


def test_a_header_given_twice_is_a_duplicate(sandbox: Sandbox) -> None:
    twice = [*headers_for(provider_token(sandbox)).items(), ("apns-topic", TOPIC)]
    with ApnsClient(sandbox) as client:
        reply = client.push(twice)

    assert (400, "DuplicateHeaders") == (reply.status, reply.reason)


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", f"/3/device/{DEVICE}", (405, "MethodNotAllowed")),
        ("POST", "/3/device/", (400, "MissingDeviceToken")),
        ("POST", "/3/device", (400, "MissingDeviceToken")),
        ("POST", f"/2/device/{DEVICE}", (404, "BadPath")),
        ("POST", f"/3/device/{DEVICE}/more", (404, "BadPath")),
        ("POST", "/", (404, "BadPath")),
    ],
)
def test_method_and_path_are_checked(sandbox: Sandbox, method: str, path: str, answer: tuple[int, str]) -> None:
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for(provider_token(sandbox)), method=method, path=path)

    assert answer == (reply.status, reply.reason)


@pytest.mark.parametrize(("push_type", "topic", "limit"), [("alert", TOPIC, 4096), ("voip", f"{TOPIC}.voip", 5120)])
def test_a_payload_may_have_the_limit_and_not_a_byte_more(
    sandbox: Sandbox, push_type: str, topic: str, limit: int
) -> None:
    headers = headers_for(provider_token(sandbox), apns_push_type=push_type, apns_topic=topic)
    with ApnsClient(sandbox) as client:
        replies = [client.push(headers, payload_of(size)) for size in (limit, limit + 1, 10 * limit, 300_000)]

    assert limit == len(payload_of(limit))
    assert [(200, ""), *[(413, "PayloadTooLarge")] * 3] == [(r.status, r.reason) for r in replies]


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'"text"', b"\xff"])
def test_a_payload_must_be_a_json_object(sandbox: Sandbox, body: bytes) -> None:
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for(provider_token(sandbox)), body)

    assert (400, "PayloadEmpty") == (reply.status, reply.reason)


@pytest.mark.parametrize("device", ["xyz", "a1", DEVICE[:-1], DEVICE[:-2], "g" * 64])
def test_what_is_no_device_token_is_a_bad_one(sandbox: Sandbox, device: str) -> None:
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for(provider_token(sandbox)), device=device)

    assert (400, "BadDeviceToken") == (reply.status, reply.reason)


def test_longer_device_tokens_are_taken_as_apple_reserves_to_itself(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for(provider_token(sandbox)), device="ab" * 80)

    assert 200 == reply.status


def test_every_reason_can_be_chosen_by_the_device_token(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        replies = {prefix: client.push(headers, device=prefix.ljust(64, "0")) for prefix in PREFIXES}

    assert set(STATUS_OF) == set(PREFIXES.values())
    assert {p: (STATUS_OF[reason], reason) for p, reason in PREFIXES.items()} == {
        p: (reply.status, reply.reason) for p, reply in replies.items()
    }


def test_every_reason_can_be_armed_for_a_token_a_number_of_times(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox))
    answers = []
    with ApnsClient(sandbox) as client:
        for reason in STATUS_OF:
            sandbox.arm_apns(DEVICE, reason=reason, times=1)
            answers.append((client.push(headers).reason, client.push(headers).status))

    assert [(reason, 200) for reason in STATUS_OF] == answers


def test_a_wrong_request_does_not_use_up_a_fault(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, reason="Unregistered", times=1)
    token = provider_token(sandbox)
    with ApnsClient(sandbox) as client:
        reasons = [client.push(headers_for(token, apns_priority=priority)).reason for priority in ("7", "10", "10")]

    assert ["BadPriority", "Unregistered", ""] == reasons


def test_a_refused_request_is_recorded_with_its_reason(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        client.push(headers_for(provider_token(sandbox), apns_topic=None), PAYLOAD)

    [push] = sandbox.record.since(0)
    assert (400, "MissingTopic", {"aps": {"alert": "hello"}}) == (push.status, push.reason, push.payload)
