"""Every row of Google's table."""

from __future__ import annotations

import json
from typing import Any

import pytest
from firebase_admin import messaging

from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.providers.fcm.answers import ANSWERS, INVALID_TOKEN, QUOTA_PAUSE_S, react
from workers.push.reaction import Action, Health, Reaction
from workers.push.reply import Reply

WELL, SERVER, CREDENTIAL = Health.WELL, Health.SERVER_FAULT, Health.CREDENTIAL_FAULT
NOW = 1000.0
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def a_reply(status: int, rpc_status: str, *details: dict[str, Any], **headers: str) -> Reply:
    body = {"error": {"code": status, "message": "no", "status": rpc_status, "details": list(details)}}
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode())


def fcm(code: str) -> dict[str, Any]:
    return {"@type": FCM_ERROR, "errorCode": code}


def violation(field: str) -> dict[str, Any]:
    return {"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "no"}]}


ROWS: list[tuple[str, Reply, Outcome, Action, Health]] = [
    (
        "argument",
        a_reply(400, "INVALID_ARGUMENT", fcm("INVALID_ARGUMENT")),
        Refused("INVALID_ARGUMENT", alert=True),
        Action.NONE,
        WELL,
    ),
    (
        "argument, a field",
        a_reply(400, "INVALID_ARGUMENT", violation("message.data")),
        Refused("INVALID_ARGUMENT", alert=True),
        Action.NONE,
        WELL,
    ),
    (
        "argument, the token",
        a_reply(400, "INVALID_ARGUMENT", violation("message.token"), fcm("INVALID_ARGUMENT")),
        TokenGone(None, INVALID_TOKEN),
        Action.NONE,
        WELL,
    ),
    (
        "precondition",
        a_reply(400, "FAILED_PRECONDITION"),
        Refused("FAILED_PRECONDITION", alert=True),
        Action.NONE,
        WELL,
    ),
    (
        "unauthenticated",
        a_reply(401, "UNAUTHENTICATED"),
        Later(None, "UNAUTHENTICATED", alert=True),
        Action.NEW_TOKEN,
        CREDENTIAL,
    ),
    (
        "third party",
        a_reply(401, "UNAUTHENTICATED", fcm("THIRD_PARTY_AUTH_ERROR")),
        Refused("THIRD_PARTY_AUTH_ERROR", alert=True),
        Action.NONE,
        WELL,
    ),
    (
        "permission",
        a_reply(403, "PERMISSION_DENIED"),
        Later(None, "PERMISSION_DENIED", alert=True),
        Action.NONE,
        CREDENTIAL,
    ),
    (
        "sender",
        a_reply(403, "PERMISSION_DENIED", fcm("SENDER_ID_MISMATCH")),
        Refused("SENDER_ID_MISMATCH", alert=True),
        Action.NONE,
        WELL,
    ),
    ("not found", a_reply(404, "NOT_FOUND"), Refused("NOT_FOUND", alert=True), Action.NONE, WELL),
    (
        "unregistered",
        a_reply(404, "NOT_FOUND", fcm("UNREGISTERED")),
        TokenGone(None, "UNREGISTERED"),
        Action.NONE,
        WELL,
    ),
    (
        "quota",
        a_reply(429, "RESOURCE_EXHAUSTED", fcm("QUOTA_EXCEEDED")),
        Later(QUOTA_PAUSE_S, "QUOTA_EXCEEDED"),
        Action.NONE,
        WELL,
    ),
    (
        "quota without code",
        a_reply(429, "RESOURCE_EXHAUSTED"),
        Later(QUOTA_PAUSE_S, "RESOURCE_EXHAUSTED"),
        Action.NONE,
        WELL,
    ),
    ("internal", a_reply(500, "INTERNAL", fcm("INTERNAL")), Later(None, "INTERNAL"), Action.NONE, SERVER),
    ("unavailable", a_reply(503, "UNAVAILABLE", fcm("UNAVAILABLE")), Later(None, "UNAVAILABLE"), Action.NONE, SERVER),
]


@pytest.mark.parametrize(("name", "reply", "outcome", "action", "health"), ROWS, ids=[row[0] for row in ROWS])
def test_each_answer_has_its_reaction(
    name: str, reply: Reply, outcome: Outcome, action: Action, health: Health
) -> None:
    assert Reaction(outcome, action, health) == react(reply, now=NOW), name


def test_every_error_class_of_firebase_admin_has_a_row() -> None:
    codes = {code for _, code in ANSWERS}

    assert set(messaging._MessagingService.FCM_ERROR_TYPES) - {"APNS_AUTH_ERROR"} <= codes


@pytest.mark.parametrize(
    ("value", "after_s"), [("7", 7.0), ("Thu, 01 Jan 1970 00:17:10 GMT", 30.0), ("nonsense", QUOTA_PAUSE_S)]
)
def test_retry_after_is_honoured_in_both_forms(value: str, after_s: float) -> None:
    reaction = react(a_reply(429, "RESOURCE_EXHAUSTED", fcm("QUOTA_EXCEEDED"), retry_after=value), now=NOW)

    assert Later(after_s, "QUOTA_EXCEEDED") == reaction.outcome


@pytest.mark.parametrize(
    ("reply", "outcome", "health"),
    [
        (Reply(502, {}, b"<!DOCTYPE html>"), Later(None, "status 502"), SERVER),
        (Reply(503, {"retry-after": "9"}, b""), Later(9.0, "status 503"), SERVER),
        (Reply(404, {}, b"<!DOCTYPE html>"), Refused("status 404", alert=True), WELL),
        (Reply(403, {}, b"[]"), Later(None, "status 403", alert=True), CREDENTIAL),
        (Reply(500, {}, b'{"error": {"details": [{"@type": 7}]}}'), Later(None, "status 500"), SERVER),
        (Reply(429, {}, b"\xff"), Later(QUOTA_PAUSE_S, "status 429"), WELL),
        (Reply(302, {}, b""), Later(None, "status 302"), SERVER),
    ],
)
def test_what_is_not_in_the_table_or_no_json_is_judged_by_its_class(
    reply: Reply, outcome: Outcome, health: Health
) -> None:
    reaction = react(reply, now=NOW)

    assert (outcome, health) == (reaction.outcome, reaction.health)


@pytest.mark.parametrize(("body", "name"), [(b'{"name": "projects/p/messages/1"}', "projects/p/messages/1"), (b"", "")])
def test_an_accepted_push_has_its_name(body: bytes, name: str) -> None:
    assert Reaction(Delivered(name)) == react(Reply(200, {}, body), now=NOW)
