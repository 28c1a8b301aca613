"""What FCM and the token endpoint answer when a fault is armed for them."""

import json
import re
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from workers.sandbox.faults import Fault
from workers.sandbox.fcm.errors import FCM_CODES, HTTP_STATUS, error_object, mixed_details, of_code
from workers.sandbox.http import Ending, HttpResponse, phrase
from workers.sandbox.state import State

HTML = "text/html; charset=UTF-8"
BAD_GATEWAY_PAGE = (
    b"<!DOCTYPE html>\n<html lang=en><title>Error 502 (Server Error)!!1</title>\n"
    b"<p><b>502.</b> <ins>That's an error.</ins>\n"
    b"<p>The server encountered a temporary error and could not complete your request.\n"
)
# A registration token that begins so gets this error without anything being armed: fail-UNREGISTERED-...
PREFIX = re.compile(r"fail-([A-Z_]+)-.*", re.DOTALL)
_BY_STATUS = {number: status for status, number in HTTP_STATUS.items()}


def fault_by_prefix(token: str) -> Fault | None:
    """What a registration token asks for by its beginning, or None."""
    match = PREFIX.fullmatch(token)
    if match is None:
        return None
    name = match.group(1)
    if name in FCM_CODES:
        return Fault(reason=name)
    return Fault(status=502) if name == "BAD_GATEWAY" else None


def faulty(fault: Fault, state: State, name: str) -> HttpResponse:
    """The response to a message for the message `name` that a fault asks for."""
    return _shaped(_content(fault, name), fault, state)


def faulty_token_endpoint(fault: Fault, state: State) -> HttpResponse:
    """The token endpoint's response that a fault asks for: RFC 6749 section 5.2, or whatever stands before Google."""
    status = fault.status or 500
    if fault.body is not None:
        response = HttpResponse(status, fault.body.encode(), fault.content_type)
    elif fault.data in ("none", "empty"):
        response = HttpResponse(status)
    elif status == 502:
        response = HttpResponse(status, BAD_GATEWAY_PAGE, HTML)
    else:
        content = {"error": fault.reason or "internal_failure", "error_description": phrase(status)}
        response = HttpResponse(status, json.dumps(content).encode())
    return _shaped(response, fault, state)


def _shaped(response: HttpResponse, fault: Fault, state: State) -> HttpResponse:
    """The same with the fault's way of ending and its Retry-After."""
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
