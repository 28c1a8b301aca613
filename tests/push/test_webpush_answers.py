"""Every row of the table of what push services answer."""

from __future__ import annotations

import pytest

from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.providers.webpush.answers import ANSWERS, PAUSE_S, react
from workers.push.reaction import Action, Health, Reaction
from workers.push.reply import Reply

WELL, SERVER, CREDENTIAL = Health.WELL, Health.SERVER_FAULT, Health.CREDENTIAL_FAULT
NOW = 1000.0

ROWS: list[tuple[int, Outcome, Action, Health]] = [
    (200, Delivered("accepted"), Action.NONE, WELL),
    (201, Delivered("accepted"), Action.NONE, WELL),
    (202, Delivered("accepted"), Action.NONE, WELL),
    (301, Refused("redirect 301", alert=False), Action.NONE, WELL),
    (302, Refused("redirect 302", alert=False), Action.NONE, WELL),
    (303, Refused("redirect 303", alert=False), Action.NONE, WELL),
    (307, Refused("redirect 307", alert=False), Action.NONE, WELL),
    (308, Refused("redirect 308", alert=False), Action.NONE, WELL),
    (400, Refused("status 400", alert=True), Action.NONE, WELL),
    (401, Later(None, "status 401", alert=True), Action.NEW_TOKEN, CREDENTIAL),
    (403, Later(None, "status 403", alert=True), Action.NEW_TOKEN, CREDENTIAL),
    (404, TokenGone(None, "status 404"), Action.NONE, WELL),
    (405, Refused("status 405", alert=True), Action.NONE, WELL),
    (408, Later(None, "status 408"), Action.NONE, SERVER),
    (410, TokenGone(None, "status 410"), Action.NONE, WELL),
    (413, Refused("status 413", alert=True), Action.SHRINK, WELL),
    (429, Later(PAUSE_S, "status 429"), Action.NONE, WELL),
    (500, Later(None, "status 500"), Action.NONE, SERVER),
    (502, Later(None, "status 502"), Action.NONE, SERVER),
    (503, Later(None, "status 503"), Action.NONE, SERVER),
    (504, Later(None, "status 504"), Action.NONE, SERVER),
    (507, Later(PAUSE_S, "status 507"), Action.NONE, WELL),
]


@pytest.mark.parametrize(("status", "outcome", "action", "health"), ROWS, ids=[str(row[0]) for row in ROWS])
def test_each_answer_has_its_reaction(status: int, outcome: Outcome, action: Action, health: Health) -> None:
    assert Reaction(outcome, action, health) == react(Reply(status, {}, b""), now=NOW)


def test_every_row_of_the_table_is_held_here() -> None:
    assert set(ANSWERS) == {row[0] for row in ROWS}


@pytest.mark.parametrize(
    ("status", "outcome", "health"),
    [
        (204, Delivered("accepted"), WELL),
        (300, Refused("redirect 300", alert=False), WELL),
        (418, Refused("status 418", alert=True), WELL),
        (520, Later(None, "status 520"), SERVER),
        (999, Later(None, "status 999"), SERVER),
        (101, Later(None, "status 101"), SERVER),
    ],
)
def test_what_is_not_in_the_table_is_judged_by_its_class(status: int, outcome: Outcome, health: Health) -> None:
    reaction = react(Reply(status, {}, b"<html>"), now=NOW)

    assert (outcome, health) == (reaction.outcome, reaction.health)


@pytest.mark.parametrize("status", [401, 429, 500, 503, 507])
@pytest.mark.parametrize(("value", "after_s"), [("7", 7.0), ("Thu, 01 Jan 1970 00:17:10 GMT", 30.0)])
def test_retry_after_is_honoured_in_both_forms(status: int, value: str, after_s: float) -> None:
    outcome = react(Reply(status, {"retry-after": value}, b""), now=NOW).outcome

    assert isinstance(outcome, Later)
    assert after_s == outcome.after_s


def test_a_retry_after_that_says_nothing_is_not_there() -> None:
    assert Later(PAUSE_S, "status 429") == react(Reply(429, {"retry-after": "soon"}, b""), now=NOW).outcome


def test_the_messages_own_url_which_opens_it_to_anybody_is_not_passed_on() -> None:
    outcome = react(Reply(201, {"location": "https://push.example/message/secret"}, b""), now=NOW).outcome

    assert isinstance(outcome, Delivered)
    assert outcome.id.startswith("hash:")


@pytest.mark.parametrize(
    ("status", "word", "reason"),
    [
        (403, "BadJwtToken", "status 403 BadJwtToken"),
        (400, "VapidPkHashMismatch", "status 400 VapidPkHashMismatch"),
        (403, "Juliet", "status 403"),
    ],
)
def test_a_word_of_apples_is_passed_on(status: int, word: str, reason: str) -> None:
    outcome = react(Reply(status, {}, f'{{"reason": "{word}"}}'.encode()), now=NOW).outcome

    assert isinstance(outcome, Later | Refused)
    assert reason == outcome.reason


def test_nothing_else_of_a_body_or_a_header_gets_into_a_reason() -> None:
    for status in (302, 400, 404, 429, 500):
        reply = Reply(status, {"location": "https://secret.example/"}, b'{"reason": "secret"}')

        assert "secret" not in str(react(reply, now=NOW))
