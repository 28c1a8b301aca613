"""From a publish for a device of another server's user to what the provider gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from gateway.mailbox.devices import Device, Devices, Limits
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import Registration
from gateway.mailbox.settings import RedisSettings
from gateway.xmpp import ns
from tests.push.builders import an_android_app, an_iphone_app
from tests.push.sleeping import Town
from tests.support.push_fixtures import running_sandbox, sandbox
from workers.appserver.published import Published, message
from workers.push.notification import Encrypted
from workers.push.settings import PushSettings
from workers.push.worker import PushWorker
from workers.sandbox.record import ReceivedPush
from workers.sandbox.server import Sandbox

__all__ = ["running_sandbox", "sandbox"]

SERVICE = "push.peer.example"
SEALED = Encrypted("c2VhbGVk", "aXZpdml2aXZpdml2")


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    made = Journal(redis_url)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def worker(redis_url: str, sandbox: Sandbox) -> Iterator[PushWorker]:
    apps = {"chat": an_iphone_app(sandbox, content="body"), "droid": an_android_app(sandbox, content="body")}
    made = PushWorker(RedisSettings(url=redis_url), settings=PushSettings(apps=apps, floor=0.0))
    running = gevent.spawn(made.run)
    yield made
    made.stop()
    running.join(30)


def a_device(journal: Journal, **registered: Any) -> tuple[Devices, Device]:
    devices = Devices(journal, SERVICE, limits=Limits(5, 100, 60_000))
    values: dict[str, Any] = {"app": "chat", "token": "ab" * 32, "content": "body", **registered}
    registration = Registration(service=SERVICE, node="", sid="", resource="", **values)
    device = devices.add("juliet@peer.example", "phone", registration)
    assert isinstance(device, Device)
    return devices, device


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        gevent.sleep(0.02)


def pushed(
    sandbox: Sandbox, devices: Devices, device: Device, class_: Any = "message", **published: Any
) -> ReceivedPush:
    """Publish, and answer what the provider got."""
    before = len(sandbox.record.since(status=200))
    kept = message(Published(node=device.node, **published), id_="call-1", content="body")
    assert devices.notify(device.node, class_, count=published.get("count", 1), message=kept)
    wait_until(lambda: len(sandbox.record.since(status=200)) > before)
    return sandbox.record.since(status=200)[-1]


def test_sender_body_and_count_are_the_peers(journal: Journal, worker: PushWorker, sandbox: Sandbox) -> None:
    received = pushed(sandbox, *a_device(journal), count=3, sender="romeo@peer.example/x", body="Wherefore?")

    assert {"title": "romeo@peer.example", "body": "Wherefore?"} == received.payload["aps"]["alert"]
    assert 3 == received.payload["wakegate"]["count"]


def test_the_next_publish_replaces_it_and_is_pushed_as_well(
    journal: Journal, worker: PushWorker, sandbox: Sandbox
) -> None:
    devices, device = a_device(journal)
    bodies = [
        pushed(sandbox, devices, device, body=body).payload["aps"]["alert"]["body"] for body in ("one", "two", "three")
    ]

    assert ["one", "two", "three"] == bodies


def test_what_the_peer_has_sealed_reaches_the_device_and_nothing_beside_it(
    journal: Journal, worker: PushWorker, sandbox: Sandbox
) -> None:
    received = pushed(sandbox, *a_device(journal), sealed=SEALED, sender="romeo@peer.example", body="New message!")

    assert (SEALED.data, SEALED.iv) == (received.payload["encrypted"], received.payload["iv"])
    assert "romeo" not in str(received.payload)


def test_so_it_does_on_android(journal: Journal, worker: PushWorker, sandbox: Sandbox) -> None:
    devices, device = a_device(journal, app="droid", token="fcm-token")
    data = pushed(sandbox, devices, device, sealed=SEALED).payload["message"]["data"]

    assert (SEALED.data, SEALED.iv) == (data["encrypted"], data["iv"])


def test_a_call_goes_to_pushkit(journal: Journal, worker: PushWorker, sandbox: Sandbox) -> None:
    devices, device = a_device(journal, voip_token="cd" * 32)
    sealed = Encrypted(SEALED.data, SEALED.iv, "voip")
    received = pushed(sandbox, devices, device, "call", is_call=True, sealed=sealed)

    assert "cd" * 32 == received.token
    assert "voip" == received.headers["apns-push-type"]
    assert SEALED.data == received.payload["encrypted"]


def test_a_message_of_a_user_is_no_publish_whatever_is_in_it(
    redis_url: str, worker: PushWorker, sandbox: Sandbox
) -> None:
    town = Town(redis_url)
    phone = town.a_sleeping_phone()
    phone.gets(f"</body><encrypted xmlns='{ns.PUSH_ENCRYPT}' iv='{SEALED.iv}'>{SEALED.data}</encrypted><body>")
    wait_until(lambda: bool(sandbox.record.since(status=200)))
    (received,) = sandbox.record.since(status=200)
    town.leave()

    assert "encrypted" not in received.payload
