"""FCM v1: POST /v1/projects/{project}/messages:send, and the token endpoint beside it."""

import json
import math
import re
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import gevent

from workers.sandbox.faults import Fault
from workers.sandbox.fcm.errors import (
    FcmRefusal,
    Violation,
    invalid_json,
    invalid_message,
    of_code,
    unauthenticated,
)
from workers.sandbox.fcm.faulty import HTML, PREFIX, fault_by_prefix, faulty, faulty_token_endpoint
from workers.sandbox.fcm.message import as_push, check_message
from workers.sandbox.fcm.oauth import TokenEndpoint
from workers.sandbox.fcm.quotas import Quotas
from workers.sandbox.fcm.schema import read_request
from workers.sandbox.http import HttpRequest, HttpResponse, json_response
from workers.sandbox.record import ReceivedPush
from workers.sandbox.state import State

TOKEN_PATH = "/token"  # noqa: S105 - a path, not a password
NOT_FOUND_PAGE = b"<!DOCTYPE html>\n<title>Error 404 (Not Found)!!1</title>\n"
_SEND_PATH = re.compile(r"/v1/projects/([^/]+)/messages:send")


class FcmService:
    """Answers FCM's and the token endpoint's requests."""

    def __init__(self, state: State, tokens: TokenEndpoint, project_id: str) -> None:
        self._state = state
        self._tokens = tokens
        self._project_id = project_id
        self._quotas = Quotas(state.rates)

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        if request.path == TOKEN_PATH and request.method == "POST":
            return self._token(request)
        match = _SEND_PATH.fullmatch(unquote(request.path))
        if match is None or request.method != "POST":
            return HttpResponse(404, NOT_FOUND_PAGE, HTML)
        return self._send(request, match.group(1))

    def _token(self, request: HttpRequest) -> HttpResponse:
        fault = self._state.faults.take("oauth", "")
        if fault is not None and fault.delay_s:
            gevent.sleep(fault.delay_s)
        if fault is None or fault == Fault(delay_s=fault.delay_s, times=fault.times, every=fault.every):
            return self._tokens.handle(request)
        self._state.record.counters["fcm_token_endpoint_faults"] += 1
        return faulty_token_endpoint(fault, self._state)

    def _send(self, request: HttpRequest, project_id: str) -> HttpResponse:
        name = f"projects/{self._project_id}/messages/0:{self._state.clock.now_ms()}%{secrets.token_hex(8)}"
        body: Any = None
        checked: dict[str, Any] = {}
        is_to_deliver = True
        fault: Fault | None = None
        token, code = "", ""
        try:
            self._authorize(request, project_id)
            self._quotas.take_project(self._state.behaviour, project_id)
            body = _json(request.body)
            checked = read_request(body)
            token = self._check(checked)
            self._quotas.take_device(self._state.behaviour, checked["message"])
            fault = self._state.faults.take("fcm", token) or fault_by_prefix(token)
            if fault is None and checked.get("validateOnly") in (True, "true"):
                name = f"projects/{self._project_id}/messages/fake_message_id"
                is_to_deliver = False
            response = faulty(fault, self._state, name) if fault else json_response({"name": name})
            code = fault.reason if fault else ""
        except FcmRefusal as refusal:
            response, code = _refusal(refusal), refusal.code or refusal.rpc_status
        if fault is not None and fault.delay_s:
            gevent.sleep(fault.delay_s)
        is_answered = response.ending in ("whole", "truncated")
        is_accepted = response.status == 200 if is_answered else fault is not None and fault.accepted
        status = response.status if is_answered else 0
        received = self._note(request, body, token, name=name, status=status, reason=code, accepted=is_accepted)
        if is_accepted and is_to_deliver:
            self._hand_on(checked["message"], received)
        return response

    def _hand_on(self, message: dict[str, Any], received: ReceivedPush) -> None:
        """To the device, or to what is kept for it. Where a topic or condition leads, the sandbox does not know."""
        if message.get("token") or message.get("fid"):
            self._state.fcm_storage.accept(as_push(message, received, now=self._state.clock.now()))

    def _authorize(self, request: HttpRequest, project_id: str) -> None:
        scheme, _, access_token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not access_token:
            raise unauthenticated("CREDENTIALS_MISSING")
        if not self._tokens.is_good(access_token.strip()):
            raise unauthenticated("ACCESS_TOKEN_EXPIRED")
        if project_id != self._project_id:
            raise FcmRefusal(
                "PERMISSION_DENIED",
                f"Permission 'cloudmessaging.messages.create' denied on resource '//cloudresourcemanager.googleapis.com"
                f"/projects/{project_id}' (or it may not exist).",
            )

    def _check(self, request: dict[str, Any]) -> str:
        """The token (or "topic:..." and so on) of a request that is right in everything. Raises FcmRefusal."""
        message = request.get("message")
        if not message:
            raise invalid_message("message", "Message is empty")
        kind, target = check_message(message)
        if kind not in ("token", "fid"):
            return f"{kind}:{target}"
        device = self._state.fcm_devices.find(target)
        if device is None and self._state.behaviour.fcm_strict_devices and not PREFIX.fullmatch(target):
            raise of_code("INVALID_ARGUMENT")
        if device is not None and device.state != "registered":
            raise of_code("UNREGISTERED")
        return target

    def _note(self, request: HttpRequest, body: Any, token: str, *, name: str, **outcome: Any) -> ReceivedPush:
        message = body.get("message") if isinstance(body, dict) else None
        if not token and isinstance(message, dict):
            token = str(message.get("token", ""))
        return self._state.record.add(
            received_at=self._state.clock.now_ms(),
            provider="fcm",
            environment="",
            token=token,
            headers={name: value for name, value in request.headers.items() if name != "authorization"},
            payload=body if body is not None else request.body.decode("utf-8", "replace"),
            push_id=name,
            sender=self._project_id,
            connection=request.connection,
            stream=request.stream,
            **outcome,
        )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise invalid_json(Violation("", f"Invalid JSON payload received. {error}")) from error


def _refusal(refusal: FcmRefusal) -> HttpResponse:
    wait_s = refusal.retry_after_s
    headers = () if wait_s is None else (("Retry-After", str(math.ceil(wait_s))),)
    return replace(json_response(refusal.as_json(), refusal.status), headers=headers)
