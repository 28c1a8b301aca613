"""The push service: POST to a subscription's endpoint (RFC 8030, section 5)."""

import json
import re
import secrets
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

import gevent

from workers.sandbox.deliveries import Push
from workers.sandbox.faults import Fault
from workers.sandbox.http import Ending, HttpRequest, HttpResponse, json_response, phrase
from workers.sandbox.state import State
from workers.sandbox.webpush.decryption import decrypt
from workers.sandbox.webpush.errors import STATUS, WebPushRefusal
from workers.sandbox.webpush.subscriptions import PATH, Subscription
from workers.sandbox.webpush.vapid import application_server

BODY_LIMIT = 4096
LONGEST_TTL_S = 30 * 86_400
"""What is asked beyond it is cut, and the answer says so (RFC 8030 section 5.2)."""

URGENCIES = ("very-low", "low", "normal", "high")

HTML = "text/html; charset=UTF-8"
BAD_GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>\n"

_TTL = re.compile(r"[0-9]{1,15}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
# A subscription whose name begins so gets this status without anything being armed: fail-410-...
_PREFIX = re.compile(r"fail-([45][0-9]{2})-.*")


@dataclass
class _Message:
    """What is known of a request so far: a refusal in the middle leaves the rest empty."""

    endpoint: str
    payload: Any = None
    sender: str = ""
    ttl_s: int = 0
    subscription: Subscription | None = None


class WebPushService:
    """Answers application servers."""

    def __init__(self, state: State) -> None:
        self._state = state

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        message = _Message(self._state.webpush_subscriptions.endpoint(request.path.removeprefix(PATH)))
        name = secrets.token_urlsafe(24)
        fault: Fault | None = None
        reason = ""
        try:
            self._check(request, message)
            fault = self._state.faults.take("webpush", message.endpoint) or _fault_by_prefix(request.path)
            response = self._accepted(message, name) if fault is None else self._faulty(fault, message, name)
            reason = fault.reason if fault else ""
        except WebPushRefusal as refusal:
            response, reason = _refusal(refusal.reason, refusal.text), refusal.reason
        if fault is not None and fault.delay_s:
            gevent.sleep(fault.delay_s)
        is_answered = response.ending in ("whole", "truncated")
        is_accepted = 200 <= response.status < 300 if is_answered else fault is not None and fault.accepted
        self._note(request, message, name, response.status if is_answered else 0, reason, is_accepted)
        return response

    def _check(self, request: HttpRequest, message: _Message) -> None:
        """Raises WebPushRefusal for a message that is not as the RFCs want it; fills `message` as far as it gets."""
        state, fields = self._state, request.headers
        subscription = message.subscription = state.webpush_subscriptions.find(message.endpoint)
        device = state.webpush_devices.find(message.endpoint)
        if subscription is None or (device is not None and device.state == "expired"):
            raise WebPushRefusal("NoSuchSubscription", "there is no such subscription, or it expired")
        if request.method != "POST":
            raise WebPushRefusal("MethodNotAllowed", "a push message is sent by POST (RFC 8030 section 5)")
        if device is not None and device.state == "unregistered":
            raise WebPushRefusal("Unsubscribed", "the browser has unsubscribed")
        message.ttl_s = _ttl_s(fields)
        if fields.get("urgency", "normal") not in URGENCIES:
            raise WebPushRefusal("BadUrgency", f"Urgency is one of {', '.join(URGENCIES)} (RFC 8030 section 5.3)")
        if "topic" in fields and not _TOPIC.fullmatch(fields["topic"]):
            raise WebPushRefusal("BadTopic", "Topic has 1 to 32 characters of base64url (RFC 8030 section 5.4)")
        message.sender = self._sender(request, subscription)
        if len(request.body) > BODY_LIMIT:
            raise WebPushRefusal("PayloadTooLarge", f"{BODY_LIMIT} bytes at most, got {len(request.body)}")
        message.payload = _payload(request, subscription)

    def _sender(self, request: HttpRequest, subscription: Subscription) -> str:
        base = self._state.webpush_subscriptions.base_url
        key = application_server(
            request.headers.get("authorization", ""),
            origins=frozenset({base, base.replace("//127.0.0.1:", "//localhost:")}),
            now=self._state.clock.now(),
        )
        wanted = subscription.application_server_key
        if wanted and not key:
            raise WebPushRefusal("MissingVapid", "the subscription is restricted to one application server")
        if wanted and key != wanted:
            raise WebPushRefusal("OtherVapidKey", "the subscription belongs to another application server")
        return key

    def _accepted(self, message: _Message, name: str) -> HttpResponse:
        """201 with the message's own resource (RFC 8030 section 5)."""
        base = self._state.webpush_subscriptions.base_url
        headers = (("Location", f"{base}/message/{name}"), ("TTL", str(message.ttl_s)))
        return HttpResponse(201, b"", "text/plain", headers)

    def _note(
        self, request: HttpRequest, message: _Message, name: str, status: int, reason: str, is_accepted: bool
    ) -> None:
        state, payload = self._state, message.payload
        push_id = str(payload["push_id"]) if isinstance(payload, dict) and "push_id" in payload else name
        received = state.record.add(
            received_at=state.clock.now_ms(),
            provider="webpush",
            environment="",
            token=message.endpoint,
            headers={field: value for field, value in request.headers.items() if field != "authorization"},
            payload=payload,
            status=status,
            reason=reason,
            push_id=push_id,
            sender=message.sender,
            connection=request.connection,
            stream=request.stream,
            accepted=is_accepted,
        )
        if not is_accepted:
            return
        topic = request.headers.get("topic", "")
        state.webpush_storage.accept(
            Push(
                provider="webpush",
                token=message.endpoint,
                push=received.seq,
                push_id=push_id,
                slot=topic,
                collapse_id=topic,
                is_urgent=request.headers.get("urgency") == "high",
                expires_at=state.clock.now() + message.ttl_s,
                payload=payload,
            )
        )

    def _faulty(self, fault: Fault, message: _Message, name: str) -> HttpResponse:
        """The response that a fault asks for."""
        status = fault.status or STATUS.get(fault.reason, 201)
        if fault.body is not None:
            response = HttpResponse(status, fault.body.encode(), fault.content_type)
        elif fault.data in ("none", "empty"):
            response = HttpResponse(status)
        elif status == 502:
            response = HttpResponse(status, BAD_GATEWAY_PAGE, HTML)
        elif 200 <= status < 300:
            response = replace(self._accepted(message, name), status=status)
        else:
            response = _refusal(fault.reason, phrase(status), status)
        ending: Ending = fault.action if fault.action != "answer" else "whole"
        if fault.data == "truncated" and ending == "whole":
            ending = "truncated"
        headers = (*response.headers, *_retry_after(fault, self._state))
        if fault.location:
            headers = (*headers, ("Location", fault.location))
        return replace(response, headers=headers, ending=ending, error_code=fault.error_code, slow_s=fault.slow_s)


def _ttl_s(fields: Any) -> int:
    text = fields.get("ttl")
    if text is None:
        raise WebPushRefusal("MissingTtl", "TTL is needed (RFC 8030 section 5.2)")
    if not _TTL.fullmatch(text):
        raise WebPushRefusal("BadTtl", "TTL is a number of seconds (RFC 8030 section 5.2)")
    return min(int(text), LONGEST_TTL_S)


def _payload(request: HttpRequest, subscription: Subscription) -> Any:
    """The decrypted message: JSON if it is, else text; None where there is none. Raises WebPushRefusal."""
    if not request.body:
        return None
    encoding = request.headers.get("content-encoding", "")
    if encoding != "aes128gcm":
        raise WebPushRefusal(
            "BadEncoding", f"Content-Encoding is aes128gcm (RFC 8291 section 2), got {encoding[:20]!r}"
        )
    plain = decrypt(request.body, subscription.keys)
    try:
        return json.loads(plain)
    except ValueError:
        return plain.decode("utf-8", "replace")


def _refusal(reason: str, text: str, status: int = 0) -> HttpResponse:
    status = status or STATUS[reason]
    response = json_response({"code": status, "reason": reason, "message": text}, status)
    return replace(response, headers=(("WWW-Authenticate", "vapid"),)) if status == 401 else response


def _fault_by_prefix(path: str) -> Fault | None:
    match = _PREFIX.fullmatch(path.removeprefix(PATH))
    return None if match is None else Fault(status=int(match.group(1)))


def _retry_after(fault: Fault, state: State) -> tuple[tuple[str, str], ...]:
    """RFC 9110 section 10.2.3: seconds, or a date."""
    if fault.retry_after_s is None:
        return ()
    if fault.retry_after_form == "date":
        return (("Retry-After", formatdate(state.clock.now() + fault.retry_after_s, usegmt=True)),)
    return (("Retry-After", str(int(fault.retry_after_s))),)
