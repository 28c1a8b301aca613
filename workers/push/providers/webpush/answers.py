"""What push services answer and what follows from it, as data (RFC 8030, sections 5, 7 and 8; RFC 8292, section 4).

Only the status is believed: a body comes from whoever the user named, and every service has its own. A few words of
Apple's are passed on to the operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from gateway.telemetry import redact
from workers.push.backoff import retry_after_s
from workers.push.outcome import Delivered, Later, Refused, TokenGone
from workers.push.reaction import Action, Health, Reaction
from workers.push.reply import Reply

PAUSE_S: Final = 60.0
"""A service that asks us to wait and does not say how long."""


WORDS: Final = frozenset(
    {
        "BadAuthorizationHeader", "BadEncryptionKey", "BadJwtToken", "BadTtl", "BadUrgency", "BadWebPushTopic",
        "ExpiredJwtToken", "Unauthorized", "VapidPkHashMismatch",
    }
)  # fmt: skip
"""What a `reason` in a JSON body may say; all else stays where it is, as it may say whose endpoint it was."""


def _our_fault(status: int) -> Reaction:
    return Reaction(Refused(f"status {status}", alert=True))


def _credential(status: int) -> Reaction:
    return Reaction(Later(None, f"status {status}", alert=True), Action.NEW_TOKEN, Health.CREDENTIAL_FAULT)


def _server(status: int) -> Reaction:
    return Reaction(Later(None, f"status {status}"), health=Health.SERVER_FAULT)


def _full(status: int) -> Reaction:
    """About this subscription or its user, not about the service."""
    return Reaction(Later(PAUSE_S, f"status {status}"))


def _redirect(status: int) -> Reaction:
    """Never followed: it may lead where we must not go, and the token in it was signed for another."""
    return Reaction(Refused(f"redirect {status}", alert=False))


ANSWERS: Final[Mapping[int, Reaction]] = {
    200: Reaction(Delivered("")),
    201: Reaction(Delivered("")),
    202: Reaction(Delivered("")),
    301: _redirect(301),
    302: _redirect(302),
    303: _redirect(303),
    307: _redirect(307),
    308: _redirect(308),
    400: _our_fault(400),
    401: _credential(401),
    403: _credential(403),
    404: Reaction(TokenGone(None, "status 404")),
    405: _our_fault(405),
    408: _server(408),
    410: Reaction(TokenGone(None, "status 410")),
    413: Reaction(Refused("status 413", alert=True), Action.SHRINK),
    429: _full(429),
    500: _server(500),
    502: _server(502),
    503: _server(503),
    504: _server(504),
    507: _full(507),  # ntfy: nobody subscribed to this topic yet, or its quota is used up
}


def react(reply: Reply, *, now: float) -> Reaction:
    """The reaction to an answer. One that is not in the table is judged by its class. `now` in UNIX seconds."""
    reaction = ANSWERS.get(reply.status) or _by_class(reply.status)
    if isinstance(reaction.outcome, Delivered):
        # Who has the URL of a message can read about it and delete it (RFC 8030, section 8.3), so it is not passed on.
        location = reply.headers.get("location")
        return replace(reaction, outcome=Delivered(redact(location) if location else "accepted"))
    reaction = _in_their_words(reaction, reply.body)
    wish = retry_after_s(reply.headers.get("retry-after"), now=now)
    if wish is not None and isinstance(reaction.outcome, Later):
        return replace(reaction, outcome=replace(reaction.outcome, after_s=wish))
    return reaction


class _Body(msgspec.Struct):
    reason: str = ""


_decoder: Final = msgspec.json.Decoder(_Body)


def _in_their_words(reaction: Reaction, body: bytes) -> Reaction:
    try:
        word = _decoder.decode(body).reason
    except (msgspec.DecodeError, UnicodeDecodeError):
        return reaction
    outcome = reaction.outcome
    if word not in WORDS or not isinstance(outcome, Later | Refused):
        return reaction
    return replace(reaction, outcome=replace(outcome, reason=f"{outcome.reason} {word}"))


def _by_class(status: int) -> Reaction:
    if 200 <= status < 300:
        return Reaction(Delivered(""))
    if 300 <= status < 400:
        return _redirect(status)
    if 400 <= status < 500:
        return _our_fault(status)
    return _server(status)
