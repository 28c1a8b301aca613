"""What is Google's alone: access tokens, data messages, web pages for answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from tests.push.builders import DEVICE, a_push, an_android_app
from workers.push.apps import Apps
from workers.push.breaker import BreakerRules, State
from workers.push.http1 import HttpPool
from workers.push.notification import Content
from workers.push.outcome import Delivered, Later, Refused, TokenGone
from workers.push.provider import Provider
from workers.push.reply import Processed, Reply, Unanswered
from workers.push.settings import PushSettings
from workers.push.token_store import LocalTokenStore
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.server import Sandbox


@pytest.fixture
def provider(sandbox: Sandbox) -> Iterator[Provider]:
    """FCM at the sandbox."""
    settings = PushSettings(apps={"chat": an_android_app(sandbox)}, request_timeout=30.0)
    apps = Apps(settings, store=LocalTokenStore(), breaker_rules=BreakerRules(faults=50))
    yield apps["chat"]
    apps.close()


def messages(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [received.payload["message"] for received in sandbox.record.since()]


def test_a_message_is_data_only_and_high_priority(provider: Provider, sandbox: Sandbox) -> None:
    push = a_push(count=3, node="account-1", collapse_id="c" * 36)
    provider.send(push)
    (message,) = messages(sandbox)

    assert {"kind": "message", "count": "3", "node": "account-1", "push_id": push.push_id} == message["data"]
    assert "notification" not in message
    assert ("high", "c" * 36) == (message["android"]["priority"], message["android"]["collapse_key"])
    assert DEVICE == message["token"]


def test_the_time_to_live_is_what_is_left_at_the_moment_of_sending(provider: Provider, sandbox: Sandbox) -> None:
    provider.send(a_push(expires_at=time.time() + 3_000_000))

    assert "2419200s" == messages(sandbox)[0]["android"]["ttl"]


def test_sender_and_body_are_data(provider: Provider, sandbox: Sandbox) -> None:
    provider.send(a_push(sender="juliet@example.com", body="O Romeo", content=Content.BODY))

    assert ("juliet@example.com", "O Romeo") == tuple(messages(sandbox)[0]["data"][name] for name in ("sender", "body"))


def test_one_access_token_serves_many_greenlets(provider: Provider, sandbox: Sandbox) -> None:
    before = sandbox.stats().get("fcm_access_tokens_issued", 0)
    sending = [gevent.spawn(provider.send, a_push(token=f"device-{number}")) for number in range(100)]
    gevent.joinall(sending, timeout=60)

    assert 100 == sum(isinstance(greenlet.value, Delivered) for greenlet in sending)
    assert 1 == token_requests(sandbox) - before


def token_requests(sandbox: Sandbox) -> int:
    return sum(count for name, count in sandbox.stats().items() if "token" in name and name.startswith("fcm"))


def test_a_revoked_access_token_is_replaced_and_the_push_sent_again(provider: Provider, sandbox: Sandbox) -> None:
    assert isinstance(provider.send(a_push()), Delivered)
    sandbox._tokens.revoke_all()

    assert isinstance(provider.send(a_push()), Delivered)
    assert [200, 401, 200] == [received.status for received in sandbox.record.since()]
    assert State.CLOSED is provider.breaker.state


def test_an_access_token_that_is_about_to_end_is_replaced_before(provider: Provider, sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(fcm_access_token_lifetime_s=200)
    for _ in range(3):
        assert isinstance(provider.send(a_push()), Delivered)

    assert 3 == token_requests(sandbox)
    assert [200] * 3 == [received.status for received in sandbox.record.since()]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_in_both_forms(provider: Provider, sandbox: Sandbox, form: str) -> None:
    sandbox.arm_fcm(reason="QUOTA_EXCEEDED", retry_after_s=120, retry_after_form=form)
    outcome = provider.send(a_push())

    assert isinstance(outcome, Later)
    assert 117 <= (outcome.after_s or 0) <= 120


def test_a_web_page_for_an_answer_is_a_server_fault(provider: Provider, sandbox: Sandbox) -> None:
    sandbox.arm_fcm(status=502)

    assert Later(None, "status 502") == provider.send(a_push())


def test_a_token_that_google_calls_invalid_is_gone(provider: Provider, sandbox: Sandbox) -> None:
    body = (
        '{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"@type": '
        '"type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "message.token"}]}]}}'
    )
    sandbox.arm_fcm(status=400, body=body, content_type="application/json")

    assert isinstance(provider.send(a_push()), TokenGone)


def test_a_message_that_google_calls_invalid_prunes_nobody(provider: Provider, sandbox: Sandbox) -> None:
    body = '{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}'
    sandbox.arm_fcm(status=400, body=body, content_type="application/json")

    assert Refused("INVALID_ARGUMENT", alert=True) == provider.send(a_push())


def test_a_token_of_another_project_prunes_nobody(provider: Provider, sandbox: Sandbox) -> None:
    sandbox.arm_fcm(reason="SENDER_ID_MISMATCH")

    assert Refused("SENDER_ID_MISMATCH", alert=True) == provider.send(a_push())


def test_connections_are_kept_alive(provider: Provider, sandbox: Sandbox) -> None:
    for _ in range(10):
        provider.send(a_push())

    assert 1 == len({received.connection for received in sandbox.record.since()})


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def a_server(*answers: bytes) -> tuple[StreamServer, list[int]]:
    """Gives each connection's requests these answers in turn, then closes it; counts requests per connection."""
    counts: list[int] = []

    def serve(sock: Any, _address: object) -> None:
        place = len(counts)
        counts.append(0)
        for answer in answers:
            data = b""
            while b"\r\n\r\n" not in data:
                part = sock.recv(65_536)
                if not part:
                    return
                data += part
            counts[place] += 1
            sock.sendall(answer)
        sock.close()

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    return server, counts


def ask(pool: HttpPool, timeout_s: float = 20.0) -> Any:
    return pool.request("POST", "/", headers={}, body=b"", timeout_s=timeout_s)


def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    server, counts = a_server(OK)
    pool = HttpPool(f"http://127.0.0.1:{server.server_port}")
    replies = [ask(pool) for _ in range(3)]
    pool.close()
    server.stop()

    assert [Reply(200, {"content-length": "2"}, b"ok")] * 3 == replies
    assert [1, 1, 1] == counts


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n"], ids=["none", "junk"])
def test_an_answer_that_is_none_is_not_asked_for_twice(answer: bytes) -> None:
    server, counts = a_server(answer)
    pool = HttpPool(f"http://127.0.0.1:{server.server_port}")
    result = ask(pool)
    pool.close()
    server.stop()

    assert isinstance(result, Unanswered)
    assert Processed.MAYBE is result.processed
    assert [1] == counts


def test_an_answer_that_is_cut_off_still_has_its_status() -> None:
    """To ask again would be to push again: Google has decided."""
    server, counts = a_server(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort")
    pool = HttpPool(f"http://127.0.0.1:{server.server_port}")
    replies = [ask(pool), ask(pool)]
    pool.close()
    server.stop()

    assert [200, 200] == [reply.status for reply in replies]
    assert [1, 1] == counts


def test_a_server_that_drips_is_left_at_the_deadline() -> None:
    def drip(sock: Any, _address: object) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            gevent.sleep(0.02)
            sock.sendall(b"x")

    server = StreamServer(("127.0.0.1", 0), drip)
    server.start()
    pool = HttpPool(f"http://127.0.0.1:{server.server_port}")
    started = time.monotonic()
    result = ask(pool, timeout_s=0.3)
    pool.close()

    assert isinstance(result, Unanswered)
    assert time.monotonic() - started < 10
    server.stop(timeout=1)


def test_more_requests_than_connections_wait_for_their_turn() -> None:
    server, counts = a_server(*[OK] * 100)
    pool = HttpPool(f"http://127.0.0.1:{server.server_port}", connections=3)
    asking = [gevent.spawn(ask, pool) for _ in range(30)]
    gevent.joinall(asking, timeout=30)
    pool.close()
    server.stop()

    assert all(isinstance(greenlet.value, Reply) for greenlet in asking)
    assert (3, 30) == (len(counts), sum(counts))
