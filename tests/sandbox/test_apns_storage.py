"""APNs: what reaches a device, and what is kept for one that is offline."""

import time
from typing import Any

from tests.sandbox.clients import DEVICE, ApnsClient, control, headers_for, provider_token
from workers.sandbox.material import TOPIC
from workers.sandbox.server import Sandbox

PATH = f"/control/apns/devices/{DEVICE}"


def push(sandbox: Sandbox, *variants: dict[str, str | None]) -> list[int]:
    """Push once for each set of changed headers; returns the statuses."""
    token = provider_token(sandbox)
    with ApnsClient(sandbox) as client:
        return [client.push(headers_for(token, **changes)).status for changes in variants]


def life(sandbox: Sandbox) -> list[tuple[int, str]]:
    """The lines of all pushes' lives."""
    return [(line.push, line.event) for line in sandbox.deliveries.since(0)]


def reach(sandbox: Sandbox, *, online: bool) -> Any:
    return control(sandbox, "POST", PATH, {"online": online}).json()["devices"]


def test_a_device_that_is_online_gets_every_push_at_once(sandbox: Sandbox) -> None:
    push(sandbox, {}, {"apns_expiration": "0"}, {"apns_expiration": "1"})

    assert [(1, "delivered"), (2, "delivered"), (3, "delivered")] == life(sandbox)


def test_one_push_for_each_app_is_kept_for_a_device_that_is_offline(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    statuses = push(sandbox, {}, {"apns_topic": "org.example.other"}, {})
    devices = reach(sandbox, online=True)
    reach(sandbox, online=True)

    assert [200, 200, 200] == statuses
    assert [(1, "stored"), (2, "stored"), (1, "replaced"), (3, "stored"), (2, "delivered"), (3, "delivered")] == life(
        sandbox
    )
    assert [True] == [device["online"] for device in devices]


def test_a_voip_push_is_of_the_same_app_as_its_alerts(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    push(sandbox, {}, {"apns_topic": f"{TOPIC}.voip", "apns_push_type": "voip"})

    assert [(1, "stored"), (1, "replaced"), (2, "stored")] == life(sandbox)


def test_expiration_0_is_not_kept(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    push(sandbox, {"apns_expiration": "0"})
    reach(sandbox, online=True)

    assert [(1, "dropped")] == life(sandbox)


def test_what_is_kept_expires(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    push(sandbox, {"apns_expiration": str(int(sandbox.clock.now()) + 100)})
    sandbox.clock.advance(101)
    reach(sandbox, online=True)

    assert [(1, "stored"), (1, "expired")] == life(sandbox)


def test_without_an_expiration_a_push_is_kept_for_thirty_days(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    push(sandbox, {})
    (kept,) = control(sandbox, "GET", f"{PATH}/waiting").json()["waiting"]

    assert abs(kept["expires_at"] - time.time() - 30 * 86400) < 120
    assert TOPIC == kept["slot"]


def test_a_collapse_id_replaces_what_the_device_shows(sandbox: Sandbox) -> None:
    push(sandbox, {"apns_collapse_id": "a"}, {"apns_collapse_id": "b"}, {"apns_collapse_id": "a"}, {})

    assert [0, 0, 1, 0] == [line.replaces for line in sandbox.deliveries.since(0)]


def test_a_removed_app_gets_nothing_of_what_was_kept(sandbox: Sandbox) -> None:
    reach(sandbox, online=False)
    push(sandbox, {})
    control(sandbox, "DELETE", PATH)
    control(sandbox, "POST", PATH)

    assert [(1, "stored"), (1, "dropped")] == life(sandbox)


def test_a_refused_push_reaches_nobody(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, reason="ServiceUnavailable", times=1)
    sandbox.arm_apns(action="reset", times=1)
    push(sandbox, {}, {}, {"apns_priority": "7"})

    assert [] == life(sandbox)


def test_going_offline_leaves_the_registration_as_it_is(sandbox: Sandbox) -> None:
    control(sandbox, "POST", PATH, {"environment": "production", "topics": [TOPIC]})
    (device,) = reach(sandbox, online=False)

    assert ("production", [TOPIC], False) == (device["environment"], device["topics"], device["online"])


def test_a_time_of_removal_before_the_last_registration_does_not_speak_of_it(sandbox: Sandbox) -> None:
    """The app was installed again: who prunes without comparing times loses a phone that works."""
    registered = sandbox.apns_devices.register(DEVICE).changed_at
    control(sandbox, "POST", PATH, {"state": "unregistered", "changed_at": registered - 5000})
    with ApnsClient(sandbox) as client:
        gone = client.push(headers_for(provider_token(sandbox)))

    assert f'"timestamp":{registered - 5000}'.encode() in gone.body


def test_deliveries_are_listed_and_waited_for(sandbox: Sandbox) -> None:
    push(sandbox, {"apns_id": "aaaaaaaa-1111-2222-3333-444444444444"})
    listing = control(sandbox, "GET", f"/deliveries?event=delivered&token={DEVICE}&wait=5").json()
    others = control(sandbox, "GET", "/deliveries?event=stored").json()["deliveries"]
    forgotten = control(sandbox, "DELETE", "/deliveries").json()

    assert ["aaaaaaaa-1111-2222-3333-444444444444"] == [line["push_id"] for line in listing["deliveries"]]
    assert 1 == listing["last_seq"]
    assert [] == others
    assert {"forgotten": 1} == forgotten
