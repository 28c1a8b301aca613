"""A browser, from its subscription to what it reads of a message: `wakegate up`, and a push service beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.scenarios.sleepers import ask, form, tell
from tests.support.iq import store_of
from tests.support.phone import Phone, online, stanza
from tests.support.processes import Server, running
from workers.push.providers.webpush.keys import public_key
from workers.sandbox.server import Addresses, Sandbox
from workers.sandbox.webpush.subscriptions import Subscription

SERVICE = "push.localhost"
WAIT_S = 60.0


@pytest.fixture(scope="module")
def push_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox"), Addresses.free()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def house(push_service: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two web apps: only `web` may have endpoints in a private network, as the sandbox is."""
    app = {
        "provider": "webpush",
        "vapid_key_file": push_service.addresses["vapid_key_file"],
        "vapid_public_key": public_key(push_service.addresses["vapid_key_file"]),
        "vapid_subject": "mailto:admin@example.org",
        "ca_file": push_service.addresses["ca_file"],
        "content": "encrypted",
    }
    settings = {
        "push": {"floor": 0.0, "retry_first": 0.1},
        "push.apps.web": {**app, "allow_private": True},
        "push.apps.public": app,
    }
    with running(tmp_path_factory.mktemp("house"), settings=settings) as server:
        yield server


def subscribed(sandbox: Sandbox) -> Subscription:
    return sandbox.subscribe(application_server_key=public_key(sandbox.addresses["vapid_key_file"]))


@contextmanager
def asleep(house: Server, subscription: Subscription, app: str = "web", **fields: str) -> Iterator[Phone]:
    """A browser that registered its subscription, and lost its connection."""
    said = subscription.as_json()
    options = {
        "FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS,
        "app": app,
        "endpoint": said["endpoint"],
        **said["keys"],
        **fields,
    }
    phone = online(house, house.account(), enable="resume='true' max='60'")
    enable = f"<enable xmlns='{ns.PUSH}' jid='{SERVICE}' node={quoteattr('account-1')}>{form(options)}</enable>"
    assert "" == ask(phone, enable)
    phone.cut()
    yield phone


def a_friend(house: Server) -> Phone:
    return Phone(house, house.account()).bind("friend").available()


def registrations(house: Server, phone: Phone) -> list[Any]:
    with store_of(house) as store:
        found: list[Any] = store.hvals(keys.key(keys.prefix(phone.account.jid), "registrations", phone.account.jid))
    return found


def received(sandbox: Sandbox, subscription: Subscription, count: int = 1) -> list[Any]:
    """What the browser could read, when there is so much."""
    found = sandbox.record.wait(timeout_s=WAIT_S, count=count, token=subscription.endpoint)
    return [push.payload for push in found]


def test_the_push_service_tells_with_which_key_to_subscribe(house: Server, push_service: Sandbox) -> None:
    phone = online(house, house.account())
    phone.send(f"<iq type='get' id='i' to='{SERVICE}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    answer = phone.skip_to(stanza("iq"))
    fields = {field.get("var"): [value.text for value in field] for field in answer.iter(f"{{{ns.DATA_FORMS}}}field")}
    key = public_key(push_service.addresses["vapid_key_file"])

    assert {"FORM_TYPE": [ns.VAPID], "web": [key], "public": [key]} == fields


def test_a_browser_that_sleeps_reads_who_wrote_and_what(house: Server, push_service: Sandbox) -> None:
    subscription = subscribed(push_service)
    friend = a_friend(house)
    with asleep(house, subscription) as phone:
        tell(friend, phone, "wherefore — art thou")
        (payload,) = received(push_service, subscription)
    (push,) = push_service.record.since(token=subscription.endpoint)

    assert ("message", 1, "account-1") == tuple(payload[name] for name in ("kind", "count", "node"))
    assert (friend.account.jid, "wherefore — art thou") == (payload["sender"], payload["body"])
    assert (201, "high", "aes128gcm") == (push.status, push.headers["urgency"], push.headers["content-encoding"])
    assert 0 < int(push.headers["ttl"]) <= 14_400


def test_a_browser_that_wants_no_text_reads_none(house: Server, push_service: Sandbox) -> None:
    subscription = subscribed(push_service)
    with asleep(house, subscription, content="none") as phone:
        tell(a_friend(house), phone, "wherefore")
        (payload,) = received(push_service, subscription)

    assert not payload.keys() & {"sender", "body"}


def test_a_browser_that_unsubscribed_is_pushed_once_and_forgotten(house: Server, push_service: Sandbox) -> None:
    gone, other = subscribed(push_service), subscribed(push_service)
    push_service.webpush_devices.unregister(gone.endpoint)
    friend = a_friend(house)
    with asleep(house, gone) as phone, asleep(house, other) as witness:
        tell(friend, phone, "one")
        received(push_service, gone)
        house.wait(lambda: not registrations(house, phone), "the registration to go", WAIT_S)
        tell(friend, phone, "two")
        tell(friend, witness, "three")
        received(push_service, other)

    assert [410] == [push.status for push in push_service.record.since(token=gone.endpoint)]


def test_an_endpoint_in_a_private_network_is_not_asked(house: Server, push_service: Sandbox) -> None:
    inside, other = subscribed(push_service), subscribed(push_service)
    friend = a_friend(house)
    with asleep(house, inside, app="public") as phone, asleep(house, other) as witness:
        tell(friend, phone, "one")
        house.wait(lambda: "endpoint address not public" in house.log_file.read_text(), "the refusal", WAIT_S)
        tell(friend, witness, "two")
        received(push_service, other)

    assert [] == push_service.record.since(token=inside.endpoint)


def test_neither_endpoint_nor_keys_nor_texts_are_in_the_log_of_all_this(house: Server, push_service: Sandbox) -> None:
    subscription = subscribed(push_service)
    friend = a_friend(house)
    push_service.arm_webpush(subscription.endpoint, status=500, times=1)
    with asleep(house, subscription) as phone:
        tell(friend, phone, "wherefore art thou")
        received(push_service, subscription, 2)
    log = Path(house.log_file).read_text()
    said = subscription.as_json()
    secrets = [*said["keys"].values(), "/push/", friend.account.jid, phone.account.jid, "wherefore", "eyJ"]

    assert [500, 201] == [push.status for push in push_service.record.since(token=subscription.endpoint)]
    assert "push_ended" in log
    assert [] == [secret for secret in secrets if secret in log]
