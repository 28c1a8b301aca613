"""What app servers answer and what follows from it, as data (XEP-0357 section 7.1, RFC 6120 section 8.3)."""

from __future__ import annotations

from typing import Final

from gateway.mailbox.push_answers import Answer
from gateway.xmpp.errors import ErrorType, StanzaCondition
from workers.push.outcome import Delivered, Later, Refused, TokenGone
from workers.push.reaction import Health, Reaction

GONE: Final = frozenset(
    {
        StanzaCondition.ITEM_NOT_FOUND,  # there is no such node, or no such device any more
        StanzaCondition.GONE,
        StanzaCondition.FORBIDDEN,  # the secret is wrong: only the client can put that right, by enabling anew
        StanzaCondition.NOT_AUTHORIZED,
        StanzaCondition.NOT_ALLOWED,
        StanzaCondition.REGISTRATION_REQUIRED,
        StanzaCondition.SUBSCRIPTION_REQUIRED,
        StanzaCondition.CONFLICT,  # XEP-0060 section 7.1.5: the node is not as the publish-options want it
    }
)
"""The node is of no use: XEP-0357 has the server disable it."""

AWAY: Final = frozenset(
    {
        StanzaCondition.REMOTE_SERVER_TIMEOUT,
        StanzaCondition.REMOTE_SERVER_NOT_FOUND,
        StanzaCondition.SERVICE_UNAVAILABLE,
        StanzaCondition.INTERNAL_SERVER_ERROR,
    }
)
"""The app server itself is not there, or not well, whatever type the error has."""

BUSY: Final = frozenset({StanzaCondition.RESOURCE_CONSTRAINT, StanzaCondition.RECIPIENT_UNAVAILABLE})
"""It is there, and has not succeeded with this device: Conversations' app server says so of what Google refuses."""


def react(answer: Answer, *, push_id: str, asked_ms: int) -> Reaction:
    """A registration that was made anew since `asked_ms` (UNIX) is not what the answer is about."""
    if answer.type == "result":
        return Reaction(Delivered(push_id))
    reason = answer.condition or "no condition"
    if answer.condition in AWAY:
        return Reaction(Later(None, reason), health=Health.SERVER_FAULT)
    if answer.error_type == ErrorType.WAIT or answer.condition in BUSY:
        return Reaction(Later(None, reason))
    if answer.condition in GONE:
        return Reaction(TokenGone(asked_ms, reason))
    return Reaction(Refused(reason, alert=True))
