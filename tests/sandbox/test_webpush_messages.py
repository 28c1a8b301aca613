"""Web Push: what a push message must be (RFC 8030, RFC 8188, RFC 8291), and who may send it (RFC 8292)."""

import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sandbox.webpush_client import (
    PAYLOAD,
    Answer,
    base64url,
    encrypted,
    public_text,
    send,
    the_key,
    vapid,
)
from workers.sandbox.server import Sandbox
from workers.sandbox.webpush.subscriptions import Subscription

OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def restricted(sandbox: Sandbox, name: str = "") -> Subscription:
    """A subscription for the sandbox's own application server, and for nobody else."""
    return sandbox.subscribe(name, application_server_key=public_text(the_key(sandbox)))


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.reason


def test_a_right_message_is_accepted_and_read(sandbox: Sandbox) -> None:
    subscription = restricted(sandbox)
    answer = send(sandbox, subscription, urgency="high", topic="a-topic_1")
    (push,) = sandbox.record.since()

    assert (201, "60") == (answer.status, answer.headers["TTL"])
    assert answer.headers["Location"].startswith(sandbox.addresses["webpush_endpoint"] + "/message/")
    assert ("webpush", subscription.endpoint, {"kind": "wake"}, 201, True) == (
        push.provider,
        push.token,
        push.payload,
        push.status,
        push.accepted,
    )
    assert ("high", "a-topic_1", "60") == tuple(push.headers[name] for name in ("urgency", "topic", "ttl"))
    assert public_text(the_key(sandbox)) == push.sender
    assert "authorization" not in push.headers


def test_a_message_may_have_no_body(sandbox: Sandbox) -> None:
    answer = send(sandbox, restricted(sandbox), b"")

    assert 201 == answer.status
    assert sandbox.record.since()[0].payload is None


def test_a_message_that_is_no_json_is_recorded_as_text(sandbox: Sandbox) -> None:
    subscription = restricted(sandbox)
    send(sandbox, subscription, encrypted(subscription, "wherefore — art thou".encode()))

    assert "wherefore — art thou" == sandbox.record.since()[0].payload


WRONG: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "no TTL": ({"ttl": None}, (400, "MissingTtl")),
    "a TTL that is no number": ({"ttl": "soon"}, (400, "BadTtl")),
    "a negative TTL": ({"ttl": "-1"}, (400, "BadTtl")),
    "an unknown urgency": ({"urgency": "urgent"}, (400, "BadUrgency")),
    "a long topic": ({"topic": "x" * 33}, (400, "BadTopic")),
    "a topic that is not base64url": ({"topic": "a b"}, (400, "BadTopic")),
    "the encoding of a draft": ({"content_encoding": "aesgcm"}, (400, "BadEncoding")),
    "no encoding": ({"content_encoding": None}, (400, "BadEncoding")),
    "another method": ({"method": "PUT"}, (405, "MethodNotAllowed")),
    "no authorization": ({"authorization": None}, (401, "MissingVapid")),
    "another scheme": ({"authorization": "Bearer x"}, (403, "BadVapid")),
    "the scheme of a draft": ({"authorization": "WebPush eyJ"}, (403, "BadVapid")),
    "no key": ({"authorization": "vapid t=x"}, (403, "BadVapid")),
    "no JWT": ({"authorization": f"vapid t=x, k={public_text(OTHER_KEY)}"}, (403, "BadVapid")),
    "a key that is none": ({"authorization": "vapid t=x, k=AAAA"}, (403, "BadVapid")),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_message_is_refused(sandbox: Sandbox, what: str) -> None:
    changes, expected = WRONG[what]
    answer = send(sandbox, restricted(sandbox), **changes)
    (push,) = sandbox.record.since()

    assert expected == told(answer)
    assert (*expected, False) == (push.status, push.reason, push.accepted)


def in_an_hour(hours: float) -> int:
    return int(time.time() + hours * 3600)


WRONG_TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "for another push service": ({"aud": "https://push.example"}, "BadVapid"),
    "for an endpoint": ({"aud": "https://push.example/push/x"}, "BadVapid"),
    "for nobody": ({"aud": None}, "BadVapid"),
    "expired": ({"exp": in_an_hour(-1)}, "BadVapid"),
    "for more than a day": ({"exp": in_an_hour(25)}, "BadVapid"),
    "for ever": ({"exp": None}, "BadVapid"),
    "from nobody": ({"sub": None}, "BadVapid"),
    "from an address that is none": ({"sub": "admin@example.org"}, "BadVapid"),
    "signed with another key": ({"signer": OTHER_KEY}, "BadVapid"),
    "signed with another algorithm": ({"signer": "x" * 32, "algorithm": "HS256"}, "BadVapid"),
    "from another application server": ({"key": OTHER_KEY}, "OtherVapidKey"),
}


@pytest.mark.parametrize("what", WRONG_TOKENS)
def test_a_wrong_token_is_refused(sandbox: Sandbox, what: str) -> None:
    changes, reason = WRONG_TOKENS[what]
    answer = send(sandbox, restricted(sandbox), authorization=vapid(sandbox, **changes))

    assert (403, reason) == told(answer)


def test_a_token_that_ends_is_refused_from_then_on(sandbox: Sandbox) -> None:
    subscription, token = restricted(sandbox), vapid(sandbox)
    before = send(sandbox, subscription, authorization=token).status
    sandbox.clock.advance(2 * 3600)

    assert (201, 403) == (before, send(sandbox, subscription, authorization=token).status)


def test_anybody_may_push_to_a_subscription_that_is_not_restricted(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe()
    statuses = [
        send(sandbox, subscription, authorization=authorization).status
        for authorization in (None, vapid(sandbox), vapid(sandbox, key=OTHER_KEY))
    ]

    assert [201, 201, 201] == statuses
    assert 403 == send(sandbox, subscription, authorization="Bearer x").status


@pytest.mark.parametrize(("length", "status"), [(3993, 201), (3994, 413)])
def test_a_message_may_have_the_limit_and_not_a_byte_more(sandbox: Sandbox, length: int, status: int) -> None:
    subscription = restricted(sandbox)

    assert status == send(sandbox, subscription, encrypted(subscription, b"x" * length, rs=5000)).status


def test_what_was_not_encrypted_for_this_browser_is_refused(sandbox: Sandbox) -> None:
    one, other = restricted(sandbox), restricted(sandbox)
    right = encrypted(one)
    bodies = [encrypted(other), PAYLOAD, right[:-1], right[:90], b"\0" + right[1:], right[:-1] + b"\0", b"\0" * 200]
    bodies.append(encrypted(one, b"x" * 100, rs=50))

    assert [(400, "Undecryptable")] * len(bodies) == [told(send(sandbox, one, body)) for body in bodies]


def test_a_text_that_ends_as_padding_does_stays_whole(sandbox: Sandbox) -> None:
    subscription = restricted(sandbox)
    text = PAYLOAD + b"\x02" + b"\0" * 50
    send(sandbox, subscription, encrypted(subscription, text))

    assert text.decode() == sandbox.record.since()[0].payload


@pytest.mark.parametrize("name", ["", "nobody", "../control"])
def test_a_subscription_that_nobody_made_is_not_found(sandbox: Sandbox, name: str) -> None:
    endpoint = f"{sandbox.addresses['webpush_endpoint']}/push/{name}"

    assert (404, "NoSuchSubscription") == told(send(sandbox, restricted(sandbox), endpoint=endpoint))


def test_what_a_browser_says_of_its_subscription_is_in_base64url_without_padding(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe("juliet")
    said = subscription.as_json()

    assert sandbox.addresses["webpush_endpoint"] + "/push/juliet" == said["endpoint"]
    assert base64url(subscription.keys.point) == said["keys"]["p256dh"]
    assert (87, 22) == (len(said["keys"]["p256dh"]), len(said["keys"]["auth"]))
