"""FCM v1: POST /v1/projects/{project}/messages:send, and the token endpoint beside it."""

import json
import math
import re
import secrets
from dataclasses import replace
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import gevent

from workers.sandbox.faults import Fault
from workers.sandbox.fcm.errors import (
    FCM_CODES,
    HTTP_STATUS,
    FcmRefusal,
    Violation,
    error_object,
    invalid_json,
    invalid_message,
    mixed_details,
    of_code,
    unauthenticated,
)
from workers.sandbox.fcm.message import as_push, check_message
from workers.sandbox.fcm.oauth import TokenEndpoint
from workers.sandbox.fcm.quotas import Quotas
from workers.sandbox.fcm.schema import read_request
from workers.sandbox.http import Ending, HttpRequest, HttpResponse, json_response, phrase
from workers.sandbox.record import ReceivedPush
from workers.sandbox.state import State

TOKEN_PATH = "/token"  # noqa: S105 - a path, not a password
HTML = "text/html; charset=UTF-8"
NOT_FOUND_PAGE = b"<!DOCTYPE html>\n<title>Error 404 (Not Found)!!1</title>\n"
BAD_GATEWAY_PAGE = (
    b"<!DOCTYPE html>\n<html lang=en><title>Error 502 (Server Error)!!1</title>\n"
    b"<p><b>502.</b> <ins>That's an error.</ins>\n"
    b"<p>The server encountered a temporary error and could not complete your request.\n"
)
_SEND_PATH = re.compile(r"/v1/projects/([^/]+)/messages:send")
# A registration token that begins so gets this error without anything being armed: fail-UNREGISTERED-...
_PREFIX = re.compile(r"fail-([A-Z_]+)-.*", re.DOTALL)
_BY_STATUS = {number: status for status, number in HTTP_STATUS.items()}


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
            return self._tokens.handle(request)
        match = _SEND_PATH.fullmatch(unquote(request.path))
        if match is None or request.method != "POST":
            return HttpResponse(404, NOT_FOUND_PAGE, HTML)
        return self._send(request, match.group(1))

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
            fault = self._state.faults.take("fcm", token) or _fault_by_prefix(token)
            if fault is None and checked.get("validateOnly") in (True, "true"):
                name = f"projects/{self._project_id}/messages/fake_message_id"
                is_to_deliver = False
            response = _faulty(fault, self._state, name) if fault else json_response({"name": name})
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
        if device is None and self._state.behaviour.fcm_strict_devices and not _PREFIX.fullmatch(target):
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


def _fault_by_prefix(token: str) -> Fault | None:
    match = _PREFIX.fullmatch(token)
    if match is None:
        return None
    name = match.group(1)
    if name in FCM_CODES:
        return Fault(reason=name)
    return Fault(status=502) if name == "BAD_GATEWAY" else None


def _faulty(fault: Fault, state: State, name: str) -> HttpResponse:
    """The response that a fault asks for."""
    response = _content(fault, name)
    if fault.action != "answer":
        ending: Ending = fault.action
    else:
        ending = "truncated" if fault.data == "truncated" else "whole"
    return replace(
        response,
        headers=_retry_after(fault, state),
        ending=ending,
        error_code=fault.error_code,
        reason=fault.reason,
        slow_s=fault.slow_s,
    )


def _content(fault: Fault, name: str) -> HttpResponse:
    """Status and body of the response that a fault asks for."""
    refusal = of_code(fault.reason) if fault.reason in FCM_CODES else None
    status = fault.status or (refusal.status if refusal else 200)
    if fault.body is not None:
        return HttpResponse(status, fault.body.encode(), fault.content_type)
    if fault.data in ("none", "empty"):
        return HttpResponse(status, b"")
    if status == 502:
        return HttpResponse(status, BAD_GATEWAY_PAGE, HTML)
    if status == 200:
        content: dict[str, Any] = {"name": name}
    elif refusal is not None:
        content = refusal.as_json()
        content["error"]["code"] = status
        if fault.details == "mixed":
            content["error"]["details"] = mixed_details(fault.reason)
    else:
        content = error_object(status, _BY_STATUS.get(status, "UNKNOWN"), fault.reason or phrase(status), [])
    return HttpResponse(status, json.dumps(content, indent=2).encode())


def _retry_after(fault: Fault, state: State) -> tuple[tuple[str, str], ...]:
    """RFC 9110 section 10.2.3: seconds, or a date."""
    if fault.retry_after_s is None:
        return ()
    if fault.retry_after_form == "date":
        return (("Retry-After", formatdate(state.clock.now() + fault.retry_after_s, usegmt=True)),)
    return (("Retry-After", str(int(fault.retry_after_s))),)
