"""What FCM answers and what follows from it, as data (FCM HTTP v1, `ErrorCode`; google.rpc.Code for what lies around
it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from workers.push.backoff import retry_after_s
from workers.push.outcome import Delivered, Later, Refused, TokenGone
from workers.push.reaction import Action, Health, Reaction, named
from workers.push.reply import Reply

QUOTA_PAUSE_S: Final = 60.0
"""Google's default when a 429 comes without Retry-After."""

INVALID_TOKEN: Final = "INVALID_ARGUMENT message.token"  # noqa: S105 - the name of an answer


def _server(reason: str) -> Reaction:
    return Reaction(Later(None, reason), health=Health.SERVER_FAULT)


def _credential(reason: str) -> Reaction:
    return Reaction(Later(None, reason, alert=True), health=Health.CREDENTIAL_FAULT)


ANSWERS: Final[Mapping[tuple[int, str], Reaction]] = {
    (400, "INVALID_ARGUMENT"): Reaction(Refused("INVALID_ARGUMENT", alert=True)),
    (400, INVALID_TOKEN): Reaction(TokenGone(None, INVALID_TOKEN)),
    (400, "FAILED_PRECONDITION"): Reaction(Refused("FAILED_PRECONDITION", alert=True)),
    (401, "UNAUTHENTICATED"): Reaction(
        Later(None, "UNAUTHENTICATED", alert=True), Action.NEW_TOKEN, Health.CREDENTIAL_FAULT
    ),
    # Google's copy of an APNs or Web Push key is bad: nothing that this server can put right, and not this device's
    # fault.
    (401, "THIRD_PARTY_AUTH_ERROR"): Reaction(Refused("THIRD_PARTY_AUTH_ERROR", alert=True)),
    (403, "PERMISSION_DENIED"): _credential("PERMISSION_DENIED"),
    # Not pruned: a wrong service account says this of every device at once.
    (403, "SENDER_ID_MISMATCH"): Reaction(Refused("SENDER_ID_MISMATCH", alert=True)),
    (404, "NOT_FOUND"): Reaction(Refused("NOT_FOUND", alert=True)),
    (404, "UNREGISTERED"): Reaction(TokenGone(None, "UNREGISTERED")),
    (429, "QUOTA_EXCEEDED"): Reaction(Later(QUOTA_PAUSE_S, "QUOTA_EXCEEDED")),
    (429, "RESOURCE_EXHAUSTED"): Reaction(Later(QUOTA_PAUSE_S, "RESOURCE_EXHAUSTED")),
    (500, "INTERNAL"): _server("INTERNAL"),
    (503, "UNAVAILABLE"): _server("UNAVAILABLE"),
}


class _Detail(msgspec.Struct):
    type: str = msgspec.field(default="", name="@type")
    error_code: str = msgspec.field(default="", name="errorCode")
    field_violations: list[dict[str, Any]] = msgspec.field(default_factory=list, name="fieldViolations")


class _Error(msgspec.Struct):
    status: str = ""
    details: list[_Detail] = []


class _Failure(msgspec.Struct):
    error: _Error


class _Success(msgspec.Struct):
    name: str = ""


_failure: Final = msgspec.json.Decoder(_Failure)
_success: Final = msgspec.json.Decoder(_Success)


def react(reply: Reply, *, now: float) -> Reaction:
    """The reaction to an answer. One that is not in the table, or not JSON (a 502 is a web page), is judged by its
    class.
    """
    if reply.status == 200:
        return Reaction(Delivered(_name(reply.body)))
    code = _code(reply.body)
    reaction = ANSWERS.get((reply.status, code)) or _by_class(reply.status, code)
    wish = retry_after_s(reply.headers.get("retry-after"), now=now)
    if wish is not None and isinstance(reaction.outcome, Later):
        return replace(reaction, outcome=replace(reaction.outcome, after_s=wish))
    return reaction


def _by_class(status: int, code: str) -> Reaction:
    name = named(code, status)
    if status == 429:
        return Reaction(Later(QUOTA_PAUSE_S, name))
    if status == 401:
        return Reaction(Later(None, name, alert=True), Action.NEW_TOKEN, Health.CREDENTIAL_FAULT)
    if status == 403:
        return _credential(name)
    if 400 <= status < 500:
        return Reaction(Refused(name, alert=True))
    return _server(name)


def _name(body: bytes) -> str:
    try:
        return _success.decode(body).name
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _code(body: bytes) -> str:
    """FCM's own error code if there is one, else Google's status; with a word on which field an argument error is
    about.
    """
    try:
        error = _failure.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    code = next((d.error_code for d in error.details if d.type.endswith("FcmError") and d.error_code), error.status)
    fields = {str(violation.get("field")) for detail in error.details for violation in detail.field_violations}
    return INVALID_TOKEN if code == "INVALID_ARGUMENT" and fields == {"message.token"} else code
