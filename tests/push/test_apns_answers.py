"""Every row of Apple's table."""

from __future__ import annotations

import json

import pytest

from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.providers.apns.answers import ANSWERS, DEVICE_PAUSE_S, TOKEN_PAUSE_S, react
from workers.push.reaction import Action, Health, Reaction
from workers.push.reply import Reply
from workers.sandbox.apns.reasons import STATUS_OF

WELL, SERVER, CREDENTIAL = Health.WELL, Health.SERVER_FAULT, Health.CREDENTIAL_FAULT


NOW = 1_700_000_000.0


def a_reply(status: int, reason: str = "", **fields: object) -> Reply:
    return Reply(status, {}, json.dumps({"reason": reason, **fields}).encode())


def ours(reason: str) -> Outcome:
    return Refused(reason, alert=True)


ROWS: list[tuple[int, str, Outcome, Action, Health]] = [
    (400, "BadCollapseId", ours("BadCollapseId"), Action.NONE, WELL),
    (400, "BadDeviceToken", TokenGone(None, "BadDeviceToken"), Action.OTHER_ENVIRONMENT, WELL),
    (400, "BadExpirationDate", ours("BadExpirationDate"), Action.NONE, WELL),
    (400, "BadMessageId", ours("BadMessageId"), Action.NONE, WELL),
    (400, "BadPriority", ours("BadPriority"), Action.NONE, WELL),
    (400, "BadTopic", ours("BadTopic"), Action.NONE, WELL),
    (400, "DeviceTokenNotForTopic", ours("DeviceTokenNotForTopic"), Action.NONE, WELL),
    (400, "DuplicateHeaders", ours("DuplicateHeaders"), Action.NONE, WELL),
    (400, "IdleTimeout", Later(None, "IdleTimeout"), Action.RECONNECT, WELL),
    (400, "InvalidPushType", ours("InvalidPushType"), Action.NONE, WELL),
    (400, "MissingDeviceToken", ours("MissingDeviceToken"), Action.NONE, WELL),
    (400, "MissingTopic", ours("MissingTopic"), Action.NONE, WELL),
    (400, "PayloadEmpty", ours("PayloadEmpty"), Action.NONE, WELL),
    (400, "TopicDisallowed", ours("TopicDisallowed"), Action.NONE, WELL),
    (403, "BadCertificate", Later(None, "BadCertificate", alert=True), Action.NONE, CREDENTIAL),
    (403, "BadCertificateEnvironment", Later(None, "BadCertificateEnvironment", alert=True), Action.NONE, CREDENTIAL),
    (403, "BadEnvironmentKeyIdInToken", Later(None, "BadEnvironmentKeyIdInToken", alert=True), Action.NONE, CREDENTIAL),
    (403, "ExpiredProviderToken", Later(None, "ExpiredProviderToken"), Action.NEW_TOKEN, WELL),
    (403, "Forbidden", Later(None, "Forbidden", alert=True), Action.NONE, CREDENTIAL),
    (403, "InvalidProviderToken", Later(None, "InvalidProviderToken", alert=True), Action.NONE, CREDENTIAL),
    (403, "MissingProviderToken", Later(None, "MissingProviderToken", alert=True), Action.NONE, CREDENTIAL),
    (403, "UnrelatedKeyIdInToken", Later(None, "UnrelatedKeyIdInToken", alert=True), Action.RECONNECT, CREDENTIAL),
    (404, "BadPath", ours("BadPath"), Action.NONE, WELL),
    (405, "MethodNotAllowed", ours("MethodNotAllowed"), Action.NONE, WELL),
    (410, "ExpiredToken", TokenGone(None, "ExpiredToken"), Action.NONE, WELL),
    (410, "Unregistered", TokenGone(None, "Unregistered"), Action.NONE, WELL),
    (413, "PayloadTooLarge", ours("PayloadTooLarge"), Action.SHRINK, WELL),
    (
        429,
        "TooManyProviderTokenUpdates",
        Later(TOKEN_PAUSE_S, "TooManyProviderTokenUpdates", alert=True),
        Action.PREVIOUS_TOKEN,
        WELL,
    ),
    (429, "TooManyRequests", Later(DEVICE_PAUSE_S, "TooManyRequests"), Action.NONE, WELL),
    (500, "InternalServerError", Later(None, "InternalServerError"), Action.NONE, SERVER),
    (503, "ServiceUnavailable", Later(None, "ServiceUnavailable"), Action.NONE, SERVER),
    (503, "Shutdown", Later(None, "Shutdown"), Action.RECONNECT_ONLY, SERVER),
]


@pytest.mark.parametrize(("status", "reason", "outcome", "action", "health"), ROWS, ids=[row[1] for row in ROWS])
def test_each_answer_has_its_reaction(
    status: int, reason: str, outcome: Outcome, action: Action, health: Health
) -> None:
    assert Reaction(outcome, action, health) == react(a_reply(status, reason), now=NOW)


def test_the_table_knows_every_reason_that_apple_lists() -> None:
    assert {(status, reason) for reason, status in STATUS_OF.items()} == set(ANSWERS)
    assert {(row[0], row[1]) for row in ROWS} == set(ANSWERS)


def test_a_dead_token_says_since_when() -> None:
    assert Reaction(TokenGone(1_700_000_000_123, "Unregistered")) == react(
        a_reply(410, "Unregistered", timestamp=1_700_000_000_123), now=NOW
    )


@pytest.mark.parametrize("timestamp", [-1, 10**18, 1e300])
def test_a_time_that_is_none_is_as_if_it_were_not_said(timestamp: float) -> None:
    assert Reaction(TokenGone(None, "Unregistered")) == react(
        a_reply(410, "Unregistered", timestamp=timestamp), now=NOW
    )


def test_an_accepted_push_has_its_id() -> None:
    assert Reaction(Delivered("abc")) == react(Reply(200, {"apns-id": "abc"}, b""), now=NOW)


@pytest.mark.parametrize(
    ("reply", "outcome", "health"),
    [
        (a_reply(400, "NewReason"), ours("NewReason"), WELL),
        (a_reply(403, "NewReason"), Later(None, "NewReason", alert=True), CREDENTIAL),
        (a_reply(410, "NewReason"), TokenGone(None, "NewReason"), WELL),
        (a_reply(429, "NewReason"), Later(DEVICE_PAUSE_S, "NewReason"), WELL),
        (a_reply(502, "NewReason"), Later(None, "NewReason"), SERVER),
        (Reply(500, {}, b"<html>"), Later(None, "status 500"), SERVER),
        (Reply(410, {}, b""), TokenGone(None, "status 410"), WELL),
        (Reply(400, {}, b'{"reason": 7}'), ours("status 400"), WELL),
        (Reply(400, {}, b"\xff\xfe"), ours("status 400"), WELL),
        (Reply(0, {}, b""), Later(None, "status 0"), SERVER),
    ],
)
def test_what_is_not_in_the_table_is_judged_by_its_class(reply: Reply, outcome: Outcome, health: Health) -> None:
    reaction = react(reply, now=NOW)

    assert (outcome, health) == (reaction.outcome, reaction.health)


@pytest.mark.parametrize(
    ("status", "reason", "value", "after_s"),
    [
        (429, "TooManyRequests", "7", 7.0),
        (429, "TooManyRequests", "Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        (429, "TooManyRequests", "nonsense", DEVICE_PAUSE_S),
        (503, "ServiceUnavailable", "120", 120.0),
        (429, "TooManyProviderTokenUpdates", "1", TOKEN_PAUSE_S),
    ],
)
def test_retry_after_is_honoured_in_both_forms(status: int, reason: str, value: str, after_s: float) -> None:
    reply = Reply(status, {"retry-after": value}, json.dumps({"reason": reason}).encode())
    outcome = react(reply, now=NOW).outcome

    assert isinstance(outcome, Later)
    assert after_s == outcome.after_s
