"""What is Web Push's alone: services that nobody chose, each apart from the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from tests.push.builders import a_browser_app, a_push, a_subscriber, a_web_push
from workers.push import http1
from workers.push.apps import Apps
from workers.push.breaker import Breaker, BreakerRules, State
from workers.push.http1 import HttpPool
from workers.push.notification import Push
from workers.push.outcome import Delivered, Later, Refused, TokenGone
from workers.push.providers.webpush import services
from workers.push.providers.webpush.client import Client
from workers.push.providers.webpush.keys import new_key
from workers.push.providers.webpush.provider import WebPushProvider
from workers.push.providers.webpush.services import ServiceRules, Services
from workers.push.providers.webpush.settings import Identity
from workers.push.reply import Unanswered
from workers.push.settings import PushSettings
from workers.push.token_store import LocalTokenStore
from workers.sandbox.server import Sandbox

DEAD = "https://127.0.0.1:9/push/x"


@pytest.fixture
def provider(sandbox: Sandbox) -> Iterator[WebPushProvider]:
    """Web Push at the sandbox, as the push worker makes it."""
    apps = Apps(
        PushSettings(apps={"chat": a_browser_app(sandbox)}),
        store=LocalTokenStore(),
        breaker_rules=BreakerRules(faults=3, open_s=60),
    )
    found = apps["chat"]
    assert isinstance(found, WebPushProvider)
    yield found
    apps.close()


def elsewhere(sandbox: Sandbox, **fields: Any) -> Push:
    """A push for a browser whose push service has another name, and so is another one."""
    push = a_web_push(sandbox, **fields)
    endpoint = push.token.replace("//127.0.0.1:", "//localhost:")
    return a_push(token=endpoint, registration=push.registration, **fields)


def statuses(sandbox: Sandbox) -> list[int]:
    return [received.status for received in sandbox.record.since()]


def test_the_browser_reads_what_was_sent(provider: WebPushProvider, sandbox: Sandbox) -> None:
    push = a_web_push(sandbox, count=3, unread=5, node="account-1")
    provider.send(push)
    (received,) = sandbox.record.since()

    assert {
        "kind": "message", "count": 3, "unread": 5, "node": "account-1", "push_id": push.push_id,
    } == received.payload  # fmt: skip


def test_a_device_without_keys_is_woken_and_told_nothing(provider: WebPushProvider, sandbox: Sandbox) -> None:
    endpoint = a_web_push(sandbox).token
    outcome = provider.send(a_push(token=endpoint, sender="juliet@capulet.example"))
    (received,) = sandbox.record.since()

    assert isinstance(outcome, Delivered)
    assert received.payload is None


@pytest.mark.parametrize("keys", [{"p256dh": "AAAA"}, {"auth": "AAAA"}, {"p256dh": ""}, {"auth": ""}], ids=str)
def test_a_device_with_keys_that_are_none_is_gone(
    provider: WebPushProvider, sandbox: Sandbox, keys: dict[str, str]
) -> None:
    subscription = sandbox.subscribe()
    push = a_push(token=subscription.endpoint, registration=a_subscriber(subscription, **keys))

    assert TokenGone(None, "keys malformed") == provider.send(push)


@pytest.mark.parametrize("token", ["", "token", "https://user@push.example/"])
def test_an_endpoint_that_is_no_url_is_gone(provider: WebPushProvider, token: str) -> None:
    assert TokenGone(None, "endpoint malformed") == provider.send(a_push(token=token))


def test_a_push_service_that_takes_less_gets_less(provider: WebPushProvider, sandbox: Sandbox) -> None:
    push = a_web_push(sandbox, node="account-1")
    sandbox.arm_webpush(push.token, status=413, times=1)
    outcome = provider.send(push)

    assert isinstance(outcome, Delivered)
    assert [413, 201] == statuses(sandbox)
    assert {"kind": "message", "push_id": push.push_id} == sandbox.record.since()[1].payload


def test_a_push_service_that_takes_nothing_is_asked_twice(provider: WebPushProvider, sandbox: Sandbox) -> None:
    sandbox.arm_webpush(status=413)

    assert Refused("status 413", alert=True) == provider.send(a_web_push(sandbox))
    assert [413, 413] == statuses(sandbox)


def test_a_refused_token_is_signed_anew_and_the_push_sent_again(sandbox: Sandbox) -> None:
    now = [time.time()]
    app = a_browser_app(sandbox)
    client = Client(
        Identity.of(app),
        rules=ServiceRules(),
        connect_timeout_s=5.0,
        breaker_rules=BreakerRules(),
        clock=lambda: now[0],
    )
    provider = WebPushProvider(app, client, request_timeout_s=10.0, clock=lambda: now[0])
    provider.send(a_web_push(sandbox))
    now[0] += 2
    push = a_web_push(sandbox)
    sandbox.arm_webpush(push.token, status=403, times=1)
    outcome = provider.send(push)
    provider.close()

    assert isinstance(outcome, Delivered)
    assert [201, 403, 201] == statuses(sandbox)


def test_one_subscription_that_belongs_to_another_key_stops_nobody_else(
    provider: WebPushProvider, sandbox: Sandbox, tmp_path: Path
) -> None:
    subscription = sandbox.subscribe(application_server_key=new_key(tmp_path / "other.pem"))
    wrong = [
        provider.send(a_push(token=subscription.endpoint, registration=a_subscriber(subscription))) for _ in range(5)
    ]

    assert [Later(None, "status 403", alert=True)] * 5 == wrong
    assert State.CLOSED is provider.breaker_of(subscription.endpoint).state
    assert isinstance(provider.send(a_web_push(sandbox)), Delivered)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_who_has_to_wait_waits_alone(provider: WebPushProvider, sandbox: Sandbox, form: str) -> None:
    slow, other = a_web_push(sandbox), a_web_push(sandbox)
    sandbox.arm_webpush(slow.token, reason="TooManyRequests", retry_after_s=120, retry_after_form=form)
    outcome = provider.send(slow)

    assert isinstance(outcome, Later)
    assert 117 <= (outcome.after_s or 0) <= 120
    assert [Delivered, Delivered] == [type(provider.send(push)) for push in (other, elsewhere(sandbox))]


def test_a_push_service_that_is_down_opens_its_own_breaker_only(provider: WebPushProvider, sandbox: Sandbox) -> None:
    dead = [provider.send(a_push(token=DEAD)) for _ in range(4)]

    assert [True, True, True, False] == [isinstance(one, Later) and one.is_tried for one in dead]
    assert State.OPEN is provider.breaker_of(DEAD).state
    assert State.CLOSED is provider.breaker.state
    assert isinstance(provider.send(a_web_push(sandbox)), Delivered)


def test_a_push_service_that_never_answers_holds_a_part_of_the_places_only(sandbox: Sandbox) -> None:
    settings = PushSettings(apps={"chat": a_browser_app(sandbox)}, in_flight=8, request_timeout=30.0)
    apps = Apps(settings, store=LocalTokenStore())
    stuck = [elsewhere(sandbox) for _ in range(2)]
    for push in stuck:
        sandbox.arm_webpush(push.token.replace("//localhost:", "//127.0.0.1:"), action="ignore")
    waiting = [gevent.spawn(apps["chat"].send, push) for push in stuck]
    gevent.sleep(0)
    crowded = apps["chat"].send(elsewhere(sandbox))
    others = [type(apps["chat"].send(a_web_push(sandbox))) for _ in range(5)]
    still = [not greenlet.ready() for greenlet in waiting]
    gevent.killall(waiting)
    apps.close()

    assert isinstance(crowded, Later)
    assert ("crowded", False) == (crowded.reason, crowded.is_tried)
    assert [Delivered] * 5 == others
    assert [True, True] == still


def some_services(in_flight: int = 8) -> Services:
    return Services(
        lambda origin, _label: HttpPool(origin),
        lambda _origin: None,  # type: ignore[arg-type,return-value]
        rules=ServiceRules(in_flight=in_flight),
        new_breaker=lambda: Breaker(BreakerRules(), clock=time.monotonic),
    )


def test_services_that_never_took_a_push_leave_places_to_those_that_did() -> None:
    found = some_services()
    proven = found.of("https://good.example", "good")
    proven.is_proven = True
    unknown = [found.of(f"https://{number}.example", "unknown") for number in range(6)]
    entered = [found.enter(service) for service in unknown for _ in range(2)]

    assert [False] * 4 + [None] * 8 == entered
    assert found.enter(proven)
    found.close()


def test_a_place_that_is_given_back_can_be_taken_again() -> None:
    found = some_services()
    service = found.of("https://push.example", "push")
    for _ in range(20):
        place = found.enter(service)
        assert place is False
        found.leave(service, place)
    found.close()


def test_no_more_services_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "KEPT_MOST", 3)
    found = some_services()
    first = found.of("https://0.example", "0")
    for number in range(1, 4):
        found.of(f"https://{number}.example", "other")
        found.of("https://0.example", "0")

    assert 3 == len(found)
    assert first is found.of("https://0.example", "0")


def test_connections_are_kept_alive(provider: WebPushProvider, sandbox: Sandbox) -> None:
    for _ in range(10):
        provider.send(a_web_push(sandbox))

    assert 1 == len({received.connection for received in sandbox.record.since()})


def test_connections_that_nobody_uses_are_closed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "IDLE_S", 0.0)
    monkeypatch.setattr(services, "PRUNE_S", 0.01)
    apps = Apps(PushSettings(apps={"chat": a_browser_app(sandbox)}), store=LocalTokenStore())
    provider = apps["chat"]
    assert isinstance(provider, WebPushProvider)
    push = a_web_push(sandbox)
    provider.send(push)
    (service,) = provider._client.services._services.values()
    deadline = time.monotonic() + 20
    while service.pool._idle and time.monotonic() < deadline:
        gevent.sleep(0.01)
    apps.close()

    assert not service.pool._idle


def endless(piece: bytes) -> StreamServer:
    """Sends the same for ever, as fast as it is read."""

    def serve(sock: Any, _address: object) -> None:
        sock.recv(65_536)
        try:
            while True:
                sock.sendall(piece * 500)
        except OSError:
            sock.close()

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    return server


@pytest.mark.parametrize(
    "piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 201 Created\r\nX: " + b"x" * 100, b"x" * 100]
)
def test_an_answer_without_end_is_left_long_before_the_deadline(piece: bytes) -> None:
    server = endless(piece)
    pool = HttpPool(f"http://127.0.0.1:{server.server_port}")
    started = time.monotonic()
    result = pool.request("POST", "/", headers={}, body=b"", timeout_s=60.0)
    pool.close()
    server.stop(timeout=1)

    assert isinstance(result, Unanswered)
    assert time.monotonic() - started < 20


def test_trailers_without_end_are_left_too() -> None:
    def serve(sock: Any, _address: object) -> None:
        sock.recv(65_536)
        try:
            sock.sendall(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
            while True:
                sock.sendall(b"X: y\r\n" * 1000)
        except OSError:
            sock.close()

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    pool = HttpPool(f"http://127.0.0.1:{server.server_port}")
    started = time.monotonic()
    pool.request("POST", "/", headers={}, body=b"", timeout_s=60.0)
    pool.close()
    server.stop(timeout=1)

    assert time.monotonic() - started < 20


def test_a_check_says_with_which_key_clients_subscribe(provider: WebPushProvider) -> None:
    checked = provider.check()

    assert checked.ok
    assert provider._client.signer.public_key in checked.text


def test_neither_endpoint_nor_keys_nor_texts_reach_a_log(
    provider: WebPushProvider, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    push = a_web_push(sandbox, "cafecafe", sender="juliet@capulet.example", body="wherefore")
    outcomes = [provider.send(push)]
    for status in (302, 400, 403, 404, 410, 413, 429, 500):
        sandbox.arm_webpush(push.token, status=status, location="https://cafecafe.example/")
        outcomes.append(provider.send(push))
    outcomes.append(provider.send(a_push(token="https://cafecafe.invalid:1/")))
    outcomes.append(provider.send(a_push(token="https://cafecafe.invalid/")))
    written = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert push.registration is not None
    secrets = ("cafecafe", "juliet", "wherefore", "eyJ", push.registration.p256dh, push.registration.auth)

    assert not [word for word in secrets if word in written]
    assert not [word for word in secrets if word in f"{outcomes} {push!r}"]
