"""What every provider promises, proven against the sandbox. A new provider joins by a row in `ARRANGEMENTS`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gevent
import pytest

from tests.push.builders import DEVICE, a_browser_app, a_push, a_web_push, an_android_app, an_iphone_app
from workers.push.apps import Apps
from workers.push.breaker import Breaker, BreakerRules, State
from workers.push.notification import Content, Push
from workers.push.outcome import Delivered, Later, Refused, TokenGone
from workers.push.provider import Provider
from workers.push.providers.webpush.provider import WebPushProvider
from workers.push.settings import AppSettings, PushSettings
from workers.push.token_store import LocalTokenStore
from workers.sandbox.record import ReceivedPush
from workers.sandbox.server import Sandbox


@dataclass(frozen=True)
class Arrangement:
    """How to reach a provider in the sandbox, and what its answers are called."""

    name: str
    app: Callable[[Sandbox], AppSettings]
    gone: str
    throttled: str
    down: str
    refused_credential: Callable[[Sandbox], None]
    patience: int = 1
    """How many devices' pushes must be refused for the credential before it is the credential's fault."""

    def push(self, sandbox: Sandbox, token: str = DEVICE, **fields: Any) -> Push:
        """A push for the device of this token. A browser subscribes under that name; its token is the endpoint."""
        return a_web_push(sandbox, token, **fields) if self.name == "webpush" else a_push(token=token, **fields)

    def arm(self, sandbox: Sandbox, token: str = "", **fault: Any) -> None:
        {"apns": sandbox.arm_apns, "fcm": sandbox.arm_fcm, "webpush": sandbox.arm_webpush}[self.name](token, **fault)

    def breaker(self, provider: Provider, sandbox: Sandbox) -> Breaker:
        """That which keeps pushes away from the sandbox."""
        if isinstance(provider, WebPushProvider):
            return provider.breaker_of(sandbox.addresses["webpush_endpoint"])
        return provider.breaker

    def priority(self, received: ReceivedPush) -> bool:
        """Was it sent as urgent?"""
        if self.name == "apns":
            return received.headers["apns-priority"] == "10"
        if self.name == "webpush":
            return received.headers["urgency"] == "high"
        return bool(received.payload["message"]["android"]["priority"] == "high")


def refuse_every_apns_token(sandbox: Sandbox) -> None:
    sandbox.arm_apns(reason="InvalidProviderToken")


def refuse_every_vapid_token(sandbox: Sandbox) -> None:
    sandbox.arm_webpush(reason="BadVapid")


def refuse_every_access_token(sandbox: Sandbox) -> None:
    sandbox.arm_fcm(status=401, reason="UNAUTHENTICATED")


def an_android_app_over_http2(sandbox: Sandbox) -> AppSettings:
    addresses = sandbox.addresses
    return an_android_app(sandbox, endpoint=addresses["fcm_tls_endpoint"], ca_file=addresses["ca_file"])


ARRANGEMENTS = [
    Arrangement(
        "apns", an_iphone_app, "Unregistered", "TooManyRequests", "ServiceUnavailable", refuse_every_apns_token
    ),
    *(
        Arrangement("fcm", app, "UNREGISTERED", "QUOTA_EXCEEDED", "UNAVAILABLE", refuse_every_access_token)
        for app in (an_android_app, an_android_app_over_http2)
    ),
    Arrangement(
        "webpush",
        a_browser_app,
        "Unsubscribed",
        "TooManyRequests",
        "ServiceUnavailable",
        refuse_every_vapid_token,
        patience=3,
    ),
]
AT_ONE_ADDRESS = [arrangement for arrangement in ARRANGEMENTS if arrangement.name != "webpush"]
"""Whether Web Push can reach anything, only a subscription shows."""


@pytest.fixture(params=ARRANGEMENTS, ids=lambda arrangement: arrangement.app.__name__)
def arranged(request: pytest.FixtureRequest) -> Arrangement:
    """Each provider in turn."""
    found: Arrangement = request.param
    return found


@pytest.fixture
def provider(arranged: Arrangement, sandbox: Sandbox) -> Iterator[Provider]:
    """The provider, without memory of other tests."""
    apps = the_apps(arranged, sandbox)
    yield apps["chat"]
    apps.close()


def the_apps(arranged: Arrangement, sandbox: Sandbox, **settings: Any) -> Apps:
    rules = BreakerRules(faults=3, open_s=0.3, open_most_s=0.3)
    push = PushSettings(apps={"chat": arranged.app(sandbox)}, in_flight=1000, **settings)
    return Apps(push, store=LocalTokenStore(), breaker_rules=rules)


def only_push(sandbox: Sandbox) -> ReceivedPush:
    (received,) = sandbox.record.since()
    return received


def test_a_push_is_delivered_with_an_id(provider: Provider, arranged: Arrangement, sandbox: Sandbox) -> None:
    outcome = provider.send(arranged.push(sandbox))

    assert isinstance(outcome, Delivered)
    assert outcome.id
    assert only_push(sandbox).accepted


def test_by_default_neither_sender_nor_body_reaches_the_provider(
    provider: Provider, arranged: Arrangement, sandbox: Sandbox
) -> None:
    provider.send(arranged.push(sandbox, sender="juliet@capulet.example", body="wherefore art thou"))
    received = only_push(sandbox)
    told = str(received.payload) + str(received.headers)

    assert not [word for word in ("juliet", "capulet", "wherefore") if word in told]


def test_sender_and_body_reach_it_if_allowed(provider: Provider, arranged: Arrangement, sandbox: Sandbox) -> None:
    provider.send(
        arranged.push(sandbox, sender="juliet@capulet.example", body="wherefore — art thou", content=Content.BODY)
    )
    told = str(only_push(sandbox).payload)

    assert "juliet@capulet.example" in told
    assert "wherefore — art thou" in told


@pytest.mark.parametrize("letter", ["a", "é", "漢", "\U0001f339", '"', "\\", "\x01"], ids=ascii)
def test_a_body_that_is_too_long_is_cut_and_still_delivered(
    provider: Provider, arranged: Arrangement, sandbox: Sandbox, letter: str
) -> None:
    outcome = provider.send(arranged.push(sandbox, body=letter * 20_000, content=Content.BODY))

    assert isinstance(outcome, Delivered)
    assert letter * 100 in str(_texts(only_push(sandbox).payload))


def _texts(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(_texts(part) for part in value.values())
    return value if isinstance(value, str) else ""


def test_what_will_be_seen_is_urgent_and_what_will_not_is_not(
    provider: Provider, arranged: Arrangement, sandbox: Sandbox
) -> None:
    provider.send(arranged.push(sandbox, urgent=True))
    provider.send(arranged.push(sandbox, urgent=False, kind="call-ended"))

    assert [True, False] == [arranged.priority(received) for received in sandbox.record.since()]
    assert all(received.accepted for received in sandbox.record.since())


def test_an_expired_push_is_not_sent(provider: Provider, arranged: Arrangement, sandbox: Sandbox) -> None:
    assert Refused("expired", alert=False) == provider.send(arranged.push(sandbox, expires_at=time.time() - 1))
    assert [] == sandbox.record.since()


def test_a_dead_token_is_gone(provider: Provider, arranged: Arrangement, sandbox: Sandbox) -> None:
    push = arranged.push(sandbox)
    arranged.arm(sandbox, push.token, reason=arranged.gone)
    outcome = provider.send(push)

    assert isinstance(outcome, TokenGone)
    assert outcome.reason in (arranged.gone, "status 410")


def test_a_throttled_device_waits_and_the_others_do_not(
    provider: Provider, arranged: Arrangement, sandbox: Sandbox
) -> None:
    arranged.arm(sandbox, "aa" * 32, reason=arranged.throttled)
    slow = provider.send(arranged.push(sandbox, token="aa" * 32))

    assert isinstance(slow, Later)
    assert (slow.after_s or 0) >= 1
    assert State.CLOSED is arranged.breaker(provider, sandbox).state
    assert isinstance(provider.send(arranged.push(sandbox, token="bb" * 32)), Delivered)


def test_a_provider_that_is_down_is_asked_later_and_left_alone_after_some_tries(
    provider: Provider, arranged: Arrangement, sandbox: Sandbox
) -> None:
    arranged.arm(sandbox, reason=arranged.down)
    outcomes = [provider.send(arranged.push(sandbox)) for _ in range(6)]

    assert all(isinstance(outcome, Later) for outcome in outcomes)
    assert 3 == len(sandbox.record.since())
    assert State.OPEN is arranged.breaker(provider, sandbox).state


def test_it_is_found_again_when_it_is_back(provider: Provider, arranged: Arrangement, sandbox: Sandbox) -> None:
    arranged.arm(sandbox, reason=arranged.down)
    for _ in range(4):
        provider.send(arranged.push(sandbox))
    sandbox.faults.disarm()
    wait_until(lambda: isinstance(provider.send(arranged.push(sandbox)), Delivered))

    assert State.CLOSED is arranged.breaker(provider, sandbox).state


def test_a_refused_credential_stops_at_once_keeps_the_push_and_alerts(
    provider: Provider, arranged: Arrangement, sandbox: Sandbox
) -> None:
    arranged.refused_credential(sandbox)
    pushes = [arranged.push(sandbox, f"{number:064x}") for number in range(arranged.patience)]
    outcomes = [provider.send(push) for push in pushes]
    asked = len(sandbox.record.since())

    assert all(isinstance(outcome, Later) and outcome.alert for outcome in outcomes)
    assert State.OPEN is arranged.breaker(provider, sandbox).state
    assert isinstance(provider.send(arranged.push(sandbox)), Later)
    assert asked == len(sandbox.record.since())


def test_a_provider_that_never_answers_does_not_hold_a_push_for_ever(arranged: Arrangement, sandbox: Sandbox) -> None:
    apps = the_apps(arranged, sandbox, request_timeout=1.0)
    arranged.arm(sandbox, action="ignore")
    started = time.monotonic()
    outcome = apps["chat"].send(arranged.push(sandbox))
    apps.close()

    assert isinstance(outcome, Later)
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("fault", [{"status": 502}, {"data": "truncated"}, {"body": "<html>"}], ids=str)
def test_an_answer_that_makes_no_sense_is_not_the_devices_fault(
    provider: Provider, arranged: Arrangement, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    arranged.arm(sandbox, **{"status": 503, **fault})

    assert isinstance(provider.send(arranged.push(sandbox)), Later)


def test_many_pushes_at_once_are_all_delivered(provider: Provider, arranged: Arrangement, sandbox: Sandbox) -> None:
    pushes = [arranged.push(sandbox, token=f"{number:064x}") for number in range(200)]
    sending = [gevent.spawn(provider.send, push) for push in pushes]
    gevent.joinall(sending, timeout=60)

    assert 200 == sum(isinstance(greenlet.value, Delivered) for greenlet in sending)
    assert {push.token for push in pushes} == {received.token for received in sandbox.record.since()}


def test_a_check_proves_the_credential_and_sends_nothing(provider: Provider, sandbox: Sandbox) -> None:
    checked = provider.check()

    assert checked.ok, checked.text
    assert [] == [received for received in sandbox.record.since() if not _is_dry(received)]


def _is_dry(received: ReceivedPush) -> bool:
    return bool(isinstance(received.payload, dict) and received.payload.get("validate_only"))


@pytest.mark.parametrize("arranged", AT_ONE_ADDRESS, ids=lambda arrangement: arrangement.name, indirect=True)
def test_a_check_says_in_a_line_what_is_wrong(arranged: Arrangement, sandbox: Sandbox) -> None:
    scheme = "https" if arranged.name == "apns" else "http"
    nowhere = {"endpoint": f"{scheme}://127.0.0.1:9"}
    app = (an_iphone_app if arranged.name == "apns" else an_android_app)(sandbox, **nowhere)
    apps = Apps(PushSettings(apps={"chat": app}, request_timeout=5.0), store=LocalTokenStore())
    checked = apps["chat"].check()
    apps.close()

    assert not checked.ok
    assert "cannot connect" in checked.text
    assert "\n" not in checked.text


def test_neither_token_nor_body_nor_credential_reaches_a_log(
    provider: Provider, arranged: Arrangement, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    push = arranged.push(
        sandbox, token="cafe" * 16, sender="juliet@capulet.example", body="wherefore", content=Content.BODY
    )
    for fault in (
        {},
        {"reason": arranged.gone},
        {"reason": arranged.down},
        {"status": 400, "reason": "PayloadTooLarge"},
    ):
        if fault:
            arranged.arm(sandbox, push.token, **fault)
        provider.send(push)
    arranged.refused_credential(sandbox)
    provider.send(arranged.push(sandbox, token="cafe" * 16))
    # hpack belongs to the sandbox's server, which runs in this process; our client does not use it.
    records = [record for record in caplog.records if not record.name.startswith("hpack")]
    written = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in records)

    assert not [word for word in ("cafecafe", "juliet", "wherefore", "eyJ", "bearer ey", "ya29.") if word in written]


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        gevent.sleep(0.02)


def test_apps_with_the_same_credential_share_it(arranged: Arrangement, sandbox: Sandbox) -> None:
    app = arranged.app(sandbox)
    apps = Apps(PushSettings(apps={"one": app, "two": app}), store=LocalTokenStore())
    arranged.breaker(apps["one"], sandbox).trip("shared")
    outcome = apps["two"].send(arranged.push(sandbox))
    apps.close()

    assert isinstance(outcome, Later)


def test_a_push_keeps_its_id_from_try_to_try(provider: Provider, arranged: Arrangement, sandbox: Sandbox) -> None:
    push = arranged.push(sandbox)
    arranged.arm(sandbox, push.token, reason=arranged.down, times=1)
    provider.send(push)
    provider.send(push)

    assert 2 == len(sandbox.record.since())
    assert 1 == len({_push_id(received) for received in sandbox.record.since()})


def _push_id(received: ReceivedPush) -> str:
    if received.provider == "apns":
        return received.headers["apns-id"]
    if received.provider == "webpush":
        return str(received.payload["push_id"])
    return str(received.payload["message"]["data"]["push_id"])


def test_what_is_sent_is_made_for_this_try(provider: Provider, arranged: Arrangement, sandbox: Sandbox) -> None:
    push: Push = arranged.push(sandbox, expires_at=time.time() + 100)
    provider.send(push)
    received = only_push(sandbox)

    if arranged.name == "apns":
        assert str(int(push.expires_at)) == received.headers["apns-expiration"]
    elif arranged.name == "webpush":
        assert received.headers["ttl"] in ("99", "98", "100")
    else:
        assert received.payload["message"]["android"]["ttl"] in ("99s", "98s", "100s")
