"""What is Apple's alone: environments, provider tokens, certificates, GOAWAY."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gevent
import jwt
import pytest
from gevent.pool import Pool as Crowd

from tests.push.builders import DEVICE, a_push, an_iphone_app
from workers.push.breaker import BreakerRules, State
from workers.push.http2.pool import PoolRules
from workers.push.notification import Push
from workers.push.outcome import Delivered, Later, Refused, TokenGone
from workers.push.providers.apns.client import Client
from workers.push.providers.apns.provider import ApnsProvider
from workers.push.providers.apns.settings import Identity, origin_of
from workers.push.providers.apns.token import FLOOR_S
from workers.push.settings import AppSettings
from workers.push.token_store import LocalTokenStore
from workers.sandbox.material import TOPIC
from workers.sandbox.server import Sandbox


class Setup:
    """A provider whose parts a test can look into."""

    def __init__(self, sandbox: Sandbox, **fields: Any) -> None:
        self.now = time.time()
        self.app = an_iphone_app(sandbox, **fields)
        self.client = Client(
            Identity.of(self.app),
            store=LocalTokenStore(),
            pool_rules=PoolRules(queue=20_000),
            breaker_rules=BreakerRules(),
            clock=lambda: self.now,
        )
        self.provider = ApnsProvider(self.app, self.client, request_timeout_s=60.0, clock=lambda: self.now)


@pytest.fixture
def make(sandbox: Sandbox) -> Iterator[Any]:
    """Makes providers, and closes them."""
    made: list[Setup] = []

    def build(**fields: Any) -> Setup:
        made.append(Setup(sandbox, **fields))
        return made[-1]

    yield build
    for setup in made:
        setup.client.close()


def environments(sandbox: Sandbox) -> list[str]:
    return [received.environment for received in sandbox.record.since()]


def test_a_message_is_an_alert_that_runs_the_apps_extension(make: Any, sandbox: Sandbox) -> None:
    push = a_push(collapse_id="c" * 36, node="account-1", count=3)
    make().provider.send(push)
    (received,) = sandbox.record.since()

    assert {"alert": {"body": "New message"}, "mutable-content": 1, "sound": "default"} == received.payload["aps"]
    assert {"kind": "message", "count": 3, "node": "account-1"} == received.payload["wakegate"]
    assert ("alert", "10", "c" * 36, push.push_id) == tuple(
        received.headers[name] for name in ("apns-push-type", "apns-priority", "apns-collapse-id", "apns-id")
    )


def test_what_is_not_shown_is_a_background_push_with_the_priority_apple_demands(make: Any, sandbox: Sandbox) -> None:
    assert isinstance(make().provider.send(a_push(urgent=False, kind="call-ended")), Delivered)
    (received,) = sandbox.record.since()

    assert ("background", "5") == (received.headers["apns-push-type"], received.headers["apns-priority"])
    assert {"content-available": 1} == received.payload["aps"]


@pytest.mark.parametrize(
    ("setting", "registered", "expected"),
    [("production", "", "production"), ("sandbox", "", "sandbox"), ("production", "sandbox", "sandbox")],
)
def test_a_push_goes_to_its_devices_environment(
    make: Any, sandbox: Sandbox, setting: str, registered: str, expected: str
) -> None:
    make(environment=setting).provider.send(a_push(environment=registered))

    assert [expected] == environments(sandbox)


def test_auto_tries_the_other_environment_once_and_remembers(make: Any, sandbox: Sandbox) -> None:
    sandbox.apns_devices.register(DEVICE, environment="sandbox")
    provider = make(environment="auto").provider

    assert isinstance(provider.send(a_push()), Delivered)
    assert isinstance(provider.send(a_push()), Delivered)
    assert ["production", "sandbox", "sandbox"] == environments(sandbox)


def test_a_token_that_neither_environment_knows_is_gone(make: Any, sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, reason="BadDeviceToken")

    assert TokenGone(None, "BadDeviceToken") == make(environment="auto").provider.send(a_push())
    assert ["production", "sandbox"] == environments(sandbox)


def test_without_auto_the_other_environment_is_left_alone(make: Any, sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, reason="BadDeviceToken")

    assert TokenGone(None, "BadDeviceToken") == make().provider.send(a_push())
    assert ["production"] == environments(sandbox)


@pytest.mark.parametrize("token", ["", "not hex", "ab/../cd" * 8, "é" * 64, "ab" * 32 + "\r\nx: y"])
def test_a_token_that_is_none_never_reaches_the_wire(make: Any, sandbox: Sandbox, token: str) -> None:
    assert TokenGone(None, "malformed") == make().provider.send(a_push(token=token))
    assert [] == sandbox.record.since()


def test_an_expired_provider_token_is_renewed_and_the_push_sent_again(make: Any, sandbox: Sandbox) -> None:
    setup = make()
    setup.now -= FLOOR_S + 10
    setup.client.bearer()
    setup.now += FLOOR_S + 10
    sandbox.arm_apns(reason="ExpiredProviderToken", times=1)
    push = a_push()

    assert isinstance(setup.provider.send(push), Delivered)
    assert [403, 200] == [received.status for received in sandbox.record.since()]
    assert {push.push_id} == {received.headers["apns-id"] for received in sandbox.record.since()}


def test_a_provider_token_is_not_renewed_too_soon_whatever_apple_says(make: Any, sandbox: Sandbox) -> None:
    setup = make()
    first = setup.client.bearer()
    sandbox.arm_apns(reason="ExpiredProviderToken")

    assert Later(None, "ExpiredProviderToken") == setup.provider.send(a_push())
    assert first == setup.client.bearer()


def test_too_many_token_updates_go_back_to_the_token_before_and_pause(make: Any, sandbox: Sandbox) -> None:
    setup = make()
    setup.now -= 46 * 60
    first = setup.client.bearer()
    setup.now += 46 * 60
    second = setup.client.bearer()
    sandbox.arm_apns(reason="TooManyProviderTokenUpdates")

    assert first != second
    assert Later(20 * 60, "TooManyProviderTokenUpdates", alert=True) == setup.provider.send(a_push())
    assert first == setup.client.bearer()


def test_a_payload_that_is_too_large_for_apple_is_sent_as_a_bare_wake_up(make: Any, sandbox: Sandbox) -> None:
    sandbox.arm_apns(reason="PayloadTooLarge", times=1)

    assert isinstance(make().provider.send(a_push()), Delivered)
    assert {"aps": {"alert": {"body": "New message"}, "mutable-content": 1}} == sandbox.record.since()[-1].payload


def test_our_own_faults_are_not_repeated_and_prune_nobody(make: Any, sandbox: Sandbox) -> None:
    sandbox.arm_apns(reason="BadTopic")

    assert Refused("BadTopic", alert=True) == make().provider.send(a_push())
    assert 1 == len(sandbox.record.since())


def test_an_idle_timeout_is_answered_by_a_new_connection(make: Any, sandbox: Sandbox) -> None:
    sandbox.arm_apns(reason="IdleTimeout", times=1)

    assert isinstance(make().provider.send(a_push()), Delivered)
    assert 2 == len({received.connection for received in sandbox.record.since()})


def test_after_some_server_faults_in_a_row_the_connection_is_replaced(make: Any, sandbox: Sandbox) -> None:
    setup = make()
    sandbox.arm_apns(reason="InternalServerError", times=3)
    for _ in range(3):
        assert Later(None, "InternalServerError") == setup.provider.send(a_push())

    assert isinstance(setup.provider.send(a_push()), Delivered)
    connections = [received.connection for received in sandbox.record.since()]
    assert connections[0] == connections[2] != connections[3]


def test_a_410_says_since_when(make: Any, sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, reason="Unregistered", timestamp=1_700_000_000_000)

    assert TokenGone(1_700_000_000_000, "Unregistered") == make().provider.send(a_push())


def test_a_certificate_speaks_for_us_without_a_provider_token(make: Any, sandbox: Sandbox) -> None:
    setup = make(key_file="", team_id="", key_id="", certificate_file=sandbox.addresses["client_certificate_file"])

    assert isinstance(setup.provider.send(a_push()), Delivered)
    assert "authorization" not in sandbox.record.since()[0].headers


def test_a_topic_that_the_certificate_does_not_have_is_refused(make: Any, sandbox: Sandbox) -> None:
    setup = make(
        key_file="",
        team_id="",
        key_id="",
        topic="org.example.other",
        certificate_file=sandbox.addresses["client_certificate_file"],
    )
    outcome = setup.provider.send(a_push())

    assert isinstance(outcome, Refused)
    assert outcome.alert


def test_a_key_that_apple_does_not_know_opens_the_breaker(make: Any, sandbox: Sandbox) -> None:
    setup = make(key_id="KEY0000000")
    outcome = setup.provider.send(a_push())

    assert Later(None, "InvalidProviderToken", alert=True) == outcome
    assert State.OPEN is setup.provider.breaker.state


@pytest.mark.parametrize("data", ["whole", "split", "empty", "none"])
def test_an_answer_may_come_in_any_frames(make: Any, sandbox: Sandbox, data: str) -> None:
    sandbox.arm_apns(DEVICE, reason="Unregistered", data=data)
    outcome = make().provider.send(a_push())

    assert isinstance(outcome, TokenGone)


@pytest.mark.parametrize("action", ["reset", "close", "goaway"])
def test_a_request_that_apple_drops_is_sent_again_with_the_same_id(make: Any, sandbox: Sandbox, action: str) -> None:
    sandbox.arm_apns(DEVICE, action=action, times=1)
    push = a_push()

    assert isinstance(make().provider.send(push), Delivered)
    assert {push.push_id} == {received.headers["apns-id"] for received in sandbox.record.since()}


def a_call(**fields: Any) -> Push:
    return a_push(kind="call", call="ca11", voip_token="cd" * 32, **fields)


def test_a_call_rings_by_pushkit_where_the_device_has_a_token_for_it(make: Any, sandbox: Sandbox) -> None:
    assert isinstance(make().provider.send(a_call()), Delivered)
    (received,) = sandbox.record.since()

    assert ("voip", TOPIC + ".voip", "10") == tuple(
        received.headers[name] for name in ("apns-push-type", "apns-topic", "apns-priority")
    )
    assert {"aps": {}, "wakegate": {"kind": "call", "count": 1, "call": "ca11"}} == received.payload


@pytest.mark.parametrize("reason", ["Unregistered", "BadDeviceToken", "DeviceTokenNotForTopic"])
def test_a_call_whose_pushkit_token_is_dead_rings_as_an_alert_and_ends_no_registration(
    make: Any, sandbox: Sandbox, reason: str
) -> None:
    sandbox.arm_apns("cd" * 32, reason=reason)

    assert isinstance(make().provider.send(a_call()), Delivered)
    last = sandbox.record.since()[-1]
    assert ("alert", TOPIC, {"body": "Incoming call"}) == (
        last.headers["apns-push-type"], last.headers["apns-topic"], last.payload["aps"]["alert"],
    )  # fmt: skip


def test_a_pushkit_token_that_is_none_never_reaches_the_wire(make: Any, sandbox: Sandbox) -> None:
    assert isinstance(make().provider.send(a_push(kind="call", voip_token="not/hex")), Delivered)
    assert ["alert"] == [received.headers["apns-push-type"] for received in sandbox.record.since()]


def test_apps_of_one_team_have_connections_of_their_own(make: Any, sandbox: Sandbox) -> None:
    setup = make()
    other = ApnsProvider(
        replace(setup.app, topic="org.example.other"), setup.client, request_timeout_s=60.0, clock=time.time
    )
    setup.provider.send(a_push())
    other.send(a_push())
    setup.provider.send(a_call())
    first, second, third = sandbox.record.since()

    assert first.connection == third.connection != second.connection


def test_teams_do_not_share_a_connection() -> None:
    one = AppSettings(provider="apns", topic="a", team_id="TEAM000001", key_id="KEY0000001", key_file="a.p8")
    other = AppSettings(provider="apns", topic="a", team_id="TEAM000002", key_id="KEY0000001", key_file="a.p8")

    assert Identity.of(one) != Identity.of(other)


@pytest.mark.parametrize(
    ("environment", "host"), [("production", "api.push.apple.com"), ("sandbox", "api.sandbox.push.apple.com")]
)
def test_without_an_endpoint_pushes_go_to_apple(environment: str, host: str) -> None:
    origin = origin_of(AppSettings(provider="apns"), environment)

    assert (host, 443) == (origin.host, origin.port)


@pytest.mark.slow
def test_ten_thousand_pushes_through_a_goaway_every_500_are_delivered_once_each(make: Any, sandbox: Sandbox) -> None:
    """Apple closes connections when it likes. No push may be lost by that, and none shown twice."""
    provider = make().provider
    provider.send(a_push())
    sandbox.arm_apns(action="goaway", every=500)
    pushes = [a_push(token=f"{number:064x}") for number in range(10_000)]
    outcomes = Counter(type(outcome) for outcome in Crowd(400).imap_unordered(provider.send, pushes))
    accepted = Counter(received.push_id for received in sandbox.record.since(status=200))

    assert {Delivered: 10_000} == outcomes
    assert {push.push_id for push in pushes} <= set(accepted)
    assert 0 == sandbox.stats()["apns_duplicates"]
    assert 20 <= sandbox.stats()["apns_goaways"]


def test_one_provider_token_serves_many_greenlets(make: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    signed, sign = [], jwt.encode

    def signs(*arguments: Any, **options: Any) -> str:
        signed.append(arguments)
        return sign(*arguments, **options)

    monkeypatch.setattr(jwt, "encode", signs)
    provider = make().provider
    gevent.joinall([gevent.spawn(provider.send, a_push(token=f"{number:064x}")) for number in range(50)], timeout=60)

    assert 50 == len(sandbox.record.since(status=200))
    assert 1 == len(signed)
