"""APNs: the registry of devices, and 410 with its time."""

import json
import time

from tests.sandbox.clients import DEVICE, ApnsClient, Reply, control, headers_for, provider_token
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.material import TOPIC
from workers.sandbox.server import Sandbox

OTHER_DEVICE = "b2" * 32


def outcome(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.reason


def test_any_device_is_registered_until_the_sandbox_is_strict(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        before = client.push(headers)
        sandbox.behaviour = Behaviour(apns_strict_devices=True)
        unknown = client.push(headers)
        sandbox.apns_devices.register(DEVICE)
        known = client.push(headers)
        by_prefix = client.push(headers, device="dead4100".ljust(64, "0"))

    assert [(200, ""), (400, "BadDeviceToken"), (200, "")] == [outcome(r) for r in (before, unknown, known)]
    assert (410, "Unregistered") == outcome(by_prefix)


def test_a_device_belongs_to_its_environment_and_topics(sandbox: Sandbox) -> None:
    sandbox.apns_devices.register(DEVICE, environment="sandbox", topics=frozenset({TOPIC}))
    token = provider_token(sandbox)
    with ApnsClient(sandbox) as production, ApnsClient(sandbox, "apns_development") as development:
        replies = [
            production.push(headers_for(token)),
            development.push(headers_for(token)),
            development.push(headers_for(token, apns_topic="org.example.other")),
        ]

    assert [(400, "BadDeviceToken"), (200, ""), (400, "DeviceTokenNotForTopic")] == [outcome(r) for r in replies]


def test_an_unregistered_device_is_gone_since_a_time_and_may_come_back(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox))
    sandbox.apns_devices.register(DEVICE)
    earliest = int(time.time() * 1000)
    gone_at = sandbox.apns_devices.unregister(DEVICE).changed_at
    with ApnsClient(sandbox) as client:
        gone = client.push(headers)
        sandbox.apns_devices.register(DEVICE)
        back = client.push(headers)

    assert (410, "Unregistered") == outcome(gone)
    assert gone_at == json.loads(gone.body)["timestamp"]
    assert earliest <= gone_at <= earliest + 60_000
    assert 200 == back.status


def test_the_time_of_410_can_be_chosen(sandbox: Sandbox) -> None:
    fault = {"status": 410, "reason": "Unregistered", "timestamp": 1_700_000_000_000, "times": 2}
    armed = control(sandbox, "POST", f"/control/apns/tokens/{DEVICE}", fault)
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        other = client.push(headers, device=OTHER_DEVICE)
        replies = [client.push(headers) for _ in range(3)]

    assert 200 == armed.status
    assert 200 == other.status
    assert [410, 410, 200] == [reply.status for reply in replies]
    assert {"reason": "Unregistered", "timestamp": 1_700_000_000_000} == json.loads(replies[0].body)


def test_devices_can_be_managed_over_http(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox))
    path = f"/control/apns/devices/{DEVICE}"
    with ApnsClient(sandbox) as client:
        control(sandbox, "POST", path, {"environment": "production", "topics": [TOPIC]})
        listing = control(sandbox, "GET", "/control/apns/devices").json()["devices"]
        registered = client.push(headers)
        control(sandbox, "DELETE", path)
        unregistered = client.push(headers)
        control(sandbox, "POST", path, {"state": "expired"})
        expired = client.push(headers)
    refused = control(sandbox, "POST", path, {"state": "asleep"})

    assert [(DEVICE, "production", [TOPIC])] == [(d["token"], d["environment"], d["topics"]) for d in listing]
    assert [(200, ""), (410, "Unregistered"), (410, "ExpiredToken")] == [
        outcome(r) for r in (registered, unregistered, expired)
    ]
    assert 400 == refused.status
