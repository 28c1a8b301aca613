"""FCM: rates of a device, of collapsible messages and of a project."""

from typing import Any

import pytest

from tests.sandbox.clients import HttpReply, access_token, http_request, send_to_fcm
from tests.sandbox.fcm_client import FcmClient
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.server import Sandbox

QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"


@pytest.fixture
def token(sandbox: Sandbox) -> str:
    """An access token, in a sandbox whose time stands still: what is refused does not depend on a busy machine."""
    sandbox.clock.stop()
    return access_token(sandbox)


def statuses(sandbox: Sandbox, token: str, count: int, message: dict[str, Any]) -> list[int]:
    with FcmClient(sandbox, token) as client:
        return [client.reply(client.begin(message)).status for _ in range(count)]


def send(sandbox: Sandbox, token: str, device: str = "device") -> HttpReply:
    return send_to_fcm(sandbox, {"message": {"token": device}}, token=token)


def test_a_device_gets_240_messages_in_a_minute(sandbox: Sandbox, token: str) -> None:
    sandbox.behaviour = Behaviour(fcm_quotas=True)
    first = statuses(sandbox, token, 240, {"token": "device", "data": {"a": "b"}})
    refused, other = send(sandbox, token), send(sandbox, token, "other")
    sandbox.clock.advance(0.26)
    later = [send(sandbox, token).status for _ in range(2)]

    assert [200] * 240 == first
    assert (429, ["QUOTA_EXCEEDED"]) == (refused.status, refused.fcm_codes)
    assert "Retry-After" not in refused.headers
    assert 200 == other.status
    assert [200, 429] == later


def test_a_device_gets_so_many_messages_in_an_hour(sandbox: Sandbox, token: str) -> None:
    assert 5000 == Behaviour().fcm_device_per_hour

    sandbox.behaviour = Behaviour(fcm_quotas=True, fcm_device_per_hour=10)
    first = statuses(sandbox, token, 11, {"token": "device"})
    sandbox.clock.advance(60)
    soon = send(sandbox, token)
    sandbox.clock.advance(360)
    later = send(sandbox, token)

    assert [200] * 10 + [429] == first
    assert [429, 200] == [soon.status, later.status]


@pytest.mark.parametrize(
    "extra", [{"android": {"collapse_key": "k"}}, {"notification": {"title": "t"}}], ids=["key", "notification"]
)
def test_twenty_collapsible_messages_and_one_more_every_three_minutes(
    sandbox: Sandbox, token: str, extra: dict[str, Any]
) -> None:
    sandbox.behaviour = Behaviour(fcm_quotas=True)
    first = statuses(sandbox, token, 21, {"token": "device", **extra})
    plain = send(sandbox, token)
    sandbox.clock.advance(181)
    later = statuses(sandbox, token, 2, {"token": "device", **extra})

    assert [200] * 20 + [429] == first
    assert 200 == plain.status
    assert [200, 429] == later


def test_the_quota_that_was_exceeded_is_named(sandbox: Sandbox, token: str) -> None:
    sandbox.behaviour = Behaviour(fcm_quotas=True, fcm_device_per_minute=1)
    send(sandbox, token)
    refused = send(sandbox, token)
    details = refused.json()["error"]["details"]

    assert (429, "RESOURCE_EXHAUSTED") == (refused.status, refused.json()["error"]["status"])
    assert [
        {"subject": "device-minute", "description": "Device message rate exceeded"},
    ] == next(detail["violations"] for detail in details if detail["@type"] == QUOTA_FAILURE)


def test_a_project_has_a_quota_that_refused_messages_use_up(sandbox: Sandbox, token: str) -> None:
    sandbox.behaviour = Behaviour(fcm_quotas=True, fcm_project_per_minute=3)
    wrong = http_request(
        sandbox, "fcm", "POST", "/v1/projects/wakegate-demo/messages:send", b"{", {"Authorization": f"Bearer {token}"}
    )
    answers = [send(sandbox, token, device) for device in "abc"]
    sandbox.clock.advance(20)
    later = send(sandbox, token, "d")

    assert 400 == wrong.status
    assert [200, 200, 429] == [answer.status for answer in answers]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 20
    assert 200 == later.status


def test_without_quotas_nothing_is_counted(sandbox: Sandbox, token: str) -> None:
    sandbox.behaviour = Behaviour(fcm_device_per_minute=1)

    assert [200, 200, 200] == statuses(sandbox, token, 3, {"token": "device"})
