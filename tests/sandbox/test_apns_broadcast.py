"""APNs: channels for Live Activities and what is broadcast to them."""

import json

import pytest

from tests.sandbox.clients import ApnsClient, Reply, headers_for, provider_token
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.material import TOPIC
from workers.sandbox.server import Sandbox

CHANNELS = f"/1/apps/{TOPIC}/channels"
SEND = f"/4/broadcasts/apps/{TOPIC}"
REQUEST_ID = "aaaaaaaa-1111-2222-3333-444444444444"


@pytest.fixture
def token(sandbox: Sandbox) -> str:
    """One for all requests of a test: a second one would be one too many."""
    return provider_token(sandbox)


def headers(token: str, **changes: str | None) -> dict[str, str]:
    return headers_for(token, **({"apns_topic": None, "apns_push_type": "liveactivity"} | changes))


def create(client: ApnsClient, token: str, policy: int = 1) -> str:
    body = json.dumps({"message-storage-policy": policy, "push-type": "LiveActivity"}).encode()
    return client.push(headers(token), body, path=CHANNELS).headers["apns-channel-id"]


def outcome(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.reason


def test_a_channel_is_made_shown_listed_and_removed(sandbox: Sandbox, token: str) -> None:
    with ApnsClient(sandbox) as client:
        channel = create(client, token, 0)
        naming = headers(token, apns_channel_id=channel)
        shown = client.push(naming, b"", path=CHANNELS, method="GET")
        listed = client.push(headers(token), b"", path=f"/1/apps/{TOPIC}/all-channels", method="GET")
        removed = client.push(naming, b"", path=CHANNELS, method="DELETE")
        gone = client.push(naming, b"", path=CHANNELS, method="GET")

    assert {"message-storage-policy": 0, "push-type": "LiveActivity"} == json.loads(shown.body)
    assert {"channels": [channel]} == json.loads(listed.body)
    assert 204 == removed.status
    assert (400, "ChannelNotRegistered") == outcome(gone)


def test_a_broadcast_is_accepted_and_recorded(sandbox: Sandbox, token: str) -> None:
    with ApnsClient(sandbox) as client:
        channel = create(client, token)
        wanted = headers(token, apns_channel_id=channel, apns_request_id=REQUEST_ID, apns_expiration="0")
        reply = client.push(wanted, path=SEND)
    (push,) = sandbox.record.since(0)

    assert (200, REQUEST_ID) == (reply.status, reply.headers["apns-request-id"])
    assert "apns-id" not in reply.headers
    assert (channel, 200, REQUEST_ID) == (push.token, push.status, push.push_id)


def test_a_wrong_broadcast_has_its_reason(sandbox: Sandbox, token: str) -> None:
    with ApnsClient(sandbox) as client:
        kept, fleeting = create(client, token), create(client, token, 0)

        def broadcast(body: bytes = b'{"aps":{}}', path: str = SEND, **changes: str | None) -> tuple[int, str]:
            return outcome(client.push(headers(token, **({"apns_channel_id": kept} | changes)), body, path=path))

        answers = {
            "MissingChannelId": broadcast(apns_channel_id=None),
            "BadChannelId": broadcast(apns_channel_id="not base64!"),
            "ChannelNotRegistered": broadcast(apns_channel_id="AAAA"),
            "TopicMismatch": broadcast(path="/4/broadcasts/apps/org.example.other"),
            "MissingPushType": broadcast(apns_push_type=None),
            "InvalidPushType": broadcast(apns_push_type="alert"),
            "BadPriority": broadcast(apns_priority="7"),
            "BadExpirationDate": broadcast(apns_channel_id=fleeting, apns_expiration="1900000000"),
            "PayloadEmpty": broadcast(b"[]"),
        }

    assert {reason: (400, reason) for reason in answers} == answers


def test_a_broadcast_may_have_5120_bytes_and_not_one_more(sandbox: Sandbox, token: str) -> None:
    with ApnsClient(sandbox) as client:
        naming = headers(token, apns_channel_id=create(client, token))
        bodies = [json.dumps({"a": "x" * (size - 9)}).encode() for size in (5120, 5121)]
        replies = [client.push(naming, body, path=SEND) for body in bodies]

    assert [5120, 5121] == [len(body) for body in bodies]
    assert [(200, ""), (413, "PayloadTooLarge")] == [outcome(reply) for reply in replies]


def test_a_channel_belongs_to_its_environment(sandbox: Sandbox, token: str) -> None:
    with ApnsClient(sandbox) as production, ApnsClient(sandbox, "apns_development") as development:
        naming = headers(token, apns_channel_id=create(production, token))
        reply = development.push(naming, path=SEND)

    assert (400, "ChannelNotRegistered") == outcome(reply)


def test_broadcasting_needs_a_sender_and_the_feature(sandbox: Sandbox, token: str) -> None:
    with ApnsClient(sandbox) as client:
        nobody = client.push(headers(token, authorization=None), path=SEND)
        other_path = client.push(headers(token), path="/4/broadcasts")
        sandbox.behaviour = Behaviour(apns_broadcast=False)
        without = client.push(headers(token), path=SEND)

    assert [(403, "MissingProviderToken"), (404, "BadPath"), (400, "FeatureNotEnabled")] == [
        outcome(reply) for reply in (nobody, other_path, without)
    ]
