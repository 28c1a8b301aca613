"""FCM: Doze, and what is kept for an app instance that cannot be reached."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.sandbox.clients import access_token, control
from tests.sandbox.fcm_client import FcmClient
from workers.sandbox.server import Sandbox

PATH = "/control/fcm/devices/device"
HIGH = {"android": {"priority": "high"}}
NORMAL: dict[str, Any] = {"data": {"a": "b"}}


def send(sandbox: Sandbox, messages: Iterable[dict[str, Any]]) -> None:
    with FcmClient(sandbox, access_token(sandbox)) as client:
        for message in messages:
            assert 200 == client.send("device", **message).status


def life(sandbox: Sandbox, seq: int = 0) -> list[tuple[int, str]]:
    return [(line.push, line.event) for line in sandbox.deliveries.since(seq)]


def reach(sandbox: Sandbox, **state: bool) -> None:
    control(sandbox, "POST", PATH, state)


@pytest.mark.parametrize("priority", ["high", "HIGH", 1])
def test_a_dozing_device_gets_high_priority_now_and_normal_at_the_next_maintenance(
    sandbox: Sandbox, priority: str | int
) -> None:
    reach(sandbox, dozing=True)
    send(sandbox, [NORMAL, {"android": {"priority": priority}}, {"android": {"priority": "normal"}}])
    before = life(sandbox)
    told = control(sandbox, "POST", "/control/fcm/maintenance").json()

    assert [(1, "stored"), (2, "delivered"), (3, "stored")] == before
    assert [(1, "delivered"), (3, "delivered")] == life(sandbox, 3)
    assert {"devices": 1} == told


def test_a_device_that_wakes_gets_what_waited(sandbox: Sandbox) -> None:
    reach(sandbox, dozing=True)
    send(sandbox, [NORMAL])
    reach(sandbox, dozing=False)

    assert [(1, "stored"), (1, "delivered")] == life(sandbox)


def test_maintenance_can_be_of_one_device(sandbox: Sandbox) -> None:
    reach(sandbox, dozing=True)
    send(sandbox, [NORMAL])
    control(sandbox, "POST", "/control/fcm/devices/other/maintenance")
    before = life(sandbox)
    control(sandbox, "POST", f"{PATH}/maintenance")

    assert [(1, "stored")] == before
    assert [(1, "stored"), (1, "delivered")] == life(sandbox)


def test_high_priority_does_not_reach_a_device_that_is_off(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    send(sandbox, [HIGH])
    control(sandbox, "POST", "/control/fcm/maintenance")
    before = life(sandbox)
    reach(sandbox, online=True)

    assert [(1, "stored")] == before
    assert [(1, "stored"), (1, "delivered")] == life(sandbox)


def test_a_time_to_live_of_0_is_now_or_never(sandbox: Sandbox) -> None:
    reach(sandbox, dozing=True)
    send(sandbox, [{"android": {"ttl": "0s"}}, {"android": {"ttl": "0s", "priority": "HIGH"}}])

    assert [(1, "dropped"), (2, "delivered")] == life(sandbox)


def test_a_message_that_waited_for_longer_than_its_time_expires(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    send(sandbox, [{"android": {"ttl": "100s"}}, NORMAL])
    sandbox.clock.advance(101)
    reach(sandbox, online=True)

    assert [(1, "expired"), (2, "delivered")] == life(sandbox, 2)


def test_of_a_collapse_key_the_newest_is_kept_and_of_the_keys_four(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    send(sandbox, [{"android": {"collapse_key": key}} for key in ("a", "b", "a", "c", "d", "e")])
    reach(sandbox, online=True)
    events = life(sandbox)

    assert [(1, "replaced"), (2, "replaced")] == [line for line in events if line[1] == "replaced"]
    assert [3, 4, 5, 6] == [push for push, event in events if event == "delivered"]


def test_a_hundred_messages_wait_and_the_next_one_deletes_them_all(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    send(sandbox, [NORMAL] * 100 + [{"android": {"collapse_key": "kept"}}])
    waiting = control(sandbox, "GET", f"{PATH}/waiting").json()["waiting"]
    send(sandbox, [NORMAL])
    reach(sandbox, online=True)
    delivered = sandbox.deliveries.since(0, event="delivered")

    assert 101 == len(waiting)
    assert 101 == len(sandbox.deliveries.since(0, event="deleted"))
    assert {"data": {"message_type": "deleted_messages"}} == delivered[0].payload
    assert [101] == [line.push for line in delivered[1:]]


def test_a_message_for_validation_reaches_nobody(sandbox: Sandbox) -> None:
    with FcmClient(sandbox, access_token(sandbox)) as client:
        body = b'{"validate_only":true,"message":{"token":"device"}}'
        stream = client.start(client.headers, body, path=client.path)
        reply = client.reply(stream)

    assert 200 == reply.status
    assert [] == life(sandbox)


def test_details_of_several_kinds_come_together(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("device", reason="UNREGISTERED", details="mixed", times=1)
    with FcmClient(sandbox, access_token(sandbox)) as client:
        reply = client.send("device")

    kinds = [detail["@type"].rsplit(".", 1)[1] for detail in json.loads(reply.body)["error"]["details"]]
    assert 404 == reply.status
    assert ["ErrorInfo", "BadRequest", "FcmError", "Help"] == kinds
