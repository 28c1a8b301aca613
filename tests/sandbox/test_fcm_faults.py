"""FCM: errors with Google's structure, and connections that break."""

import http.client
import time
from email.utils import parsedate_to_datetime

import gevent
import pytest

from tests.sandbox.clients import HttpReply, access_token, control, send_to_fcm
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.fcm.errors import FCM_CODES, HTTP_STATUS
from workers.sandbox.server import Sandbox


def send(sandbox: Sandbox, device: str = "device") -> HttpReply:
    return send_to_fcm(sandbox, {"message": {"token": device}})


@pytest.mark.parametrize("code", sorted(FCM_CODES))
def test_every_error_code_can_be_chosen_by_the_token_and_armed(sandbox: Sandbox, code: str) -> None:
    by_prefix = send(sandbox, f"fail-{code}-abc")
    sandbox.arm_fcm("device", reason=code, times=1)
    armed, after = send(sandbox), send(sandbox)

    status = FCM_CODES[code].status
    for answer in (by_prefix, armed):
        error = answer.json()["error"]
        assert (HTTP_STATUS[status], HTTP_STATUS[status], status) == (answer.status, error["code"], error["status"])
        assert [code] == answer.fcm_codes
    assert 200 == after.status


def test_an_invalid_token_is_named_as_the_field_at_fault(sandbox: Sandbox) -> None:
    answer = send(sandbox, "fail-INVALID_ARGUMENT-x")

    assert ["message.token"] == answer.violated_fields


def test_retry_after_comes_in_seconds_or_as_a_date(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("a", reason="QUOTA_EXCEEDED", retry_after_s=30)
    sandbox.arm_fcm("b", reason="UNAVAILABLE", retry_after_s=30, retry_after_form="date")
    sandbox.arm_fcm("c", reason="QUOTA_EXCEEDED")
    seconds, date, none = (send(sandbox, device) for device in "abc")

    assert (429, "30") == (seconds.status, seconds.headers["Retry-After"])
    assert 503 == date.status
    assert 0 < parsedate_to_datetime(date.headers["Retry-After"]).timestamp() - time.time() <= 31
    assert (429, False) == (none.status, "Retry-After" in none.headers)


def test_a_bad_gateway_answers_in_html(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("device", status=502, times=1)
    for answer in (send(sandbox), send(sandbox, "fail-BAD_GATEWAY-x")):
        assert (502, "text/html; charset=UTF-8") == (answer.status, answer.headers["Content-Type"])
        assert b"<html" in answer.body


def test_an_answer_can_be_empty_or_anything(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("a", status=500, data="none")
    sandbox.arm_fcm("b", status=503, body="try later", content_type="text/plain")
    sandbox.arm_fcm("c", status=418)
    answers = [send(sandbox, device) for device in "abc"]

    assert [(500, b""), (503, b"try later")] == [(a.status, a.body) for a in answers[:2]]
    assert (418, 418) == (answers[2].status, answers[2].json()["error"]["code"])


def test_an_answer_can_break_off(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("device", data="truncated", times=1)

    with pytest.raises(http.client.IncompleteRead):
        send(sandbox)

    assert 200 == send(sandbox).status


def test_a_connection_can_break_without_an_answer(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("device", action="close", times=1)

    with pytest.raises(ConnectionError):
        send(sandbox)

    assert [0] == [push.status for push in sandbox.record.since(0)]


def test_an_answer_can_never_come(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.arm_fcm("device", action="ignore", times=1)
    token = access_token(sandbox)
    monkeypatch.setattr("tests.sandbox.clients.TIMEOUT_S", 0.5)

    with pytest.raises(TimeoutError):
        send_to_fcm(sandbox, {"message": {"token": "device"}}, token=token)


def test_an_answer_can_be_late(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("device", delay_s=0.4)
    start = time.monotonic()

    assert 200 == send(sandbox).status
    assert time.monotonic() - start >= 0.4


def test_an_unregistered_app_instance_is_not_found(sandbox: Sandbox) -> None:
    control(sandbox, "DELETE", "/control/fcm/devices/device")
    answer = send(sandbox)

    assert (404, ["UNREGISTERED"]) == (answer.status, answer.fcm_codes)


def test_a_strict_sandbox_knows_registered_tokens_only(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(fcm_strict_devices=True)
    control(sandbox, "POST", "/control/fcm/devices/known")
    answers = [send(sandbox, device) for device in ("known", "unknown")]

    assert [200, 400] == [answer.status for answer in answers]
    assert ["message.token"] == answers[1].violated_fields


def test_a_client_that_dies_within_its_request_is_no_fault_of_the_sandbox(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    host, port = sandbox.addresses["fcm"].rsplit(":", 1)
    head = "POST /v1/projects/p/messages:send HTTP/1.1\r\nHost: fcm\r\nContent-Length: 1000\r\n\r\n"
    with gevent.socket.create_connection((host, int(port)), timeout=10) as dying:
        dying.sendall(head.encode() + b'{"message":')
        dying.shutdown(gevent.socket.SHUT_WR)
        dying.settimeout(10)
        answer = dying.recv(1000)

    assert b"" == answer
    assert "" == capfd.readouterr().err
    assert 200 == send(sandbox).status
