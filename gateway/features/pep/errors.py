"""What the mailbox refuses, as XEP-0060 says it: a standard condition, and one of the pubsub errors' namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.mailbox.pubsub_model import PubsubRefusal
from gateway.xmpp import ns
from gateway.xmpp.errors import ErrorType, StanzaCondition, StanzaError
from gateway.xmpp.escape import escape


def error(
    condition: StanzaCondition,
    specific: str = "",
    text: str = "",
    *,
    feature: str = "",
    type_: ErrorType | None = None,
) -> StanzaError:
    """A stanza error with a pubsub-specific condition; `feature` is what is <unsupported/>."""
    attribute = f" feature='{escape(feature)}'" if feature else ""
    extra = f"<{specific} xmlns='{ns.PUBSUB_ERRORS}'{attribute}/>".encode() if specific else b""
    return StanzaError(condition, text, type=type_, extra=extra)


def unsupported(feature: str, text: str = "") -> StanzaError:
    """XEP-0060 section 12: this service cannot do that."""
    return error(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "unsupported", text, feature=feature)


def bad(specific: str, text: str = "") -> StanzaError:
    """The request is not as XEP-0060 says."""
    return error(StanzaCondition.BAD_REQUEST, specific, text)


ANSWERS: Final[Mapping[str, tuple[StanzaCondition, str]]] = {
    "no-account": (StanzaCondition.SERVICE_UNAVAILABLE, ""),
    "item-not-found": (StanzaCondition.ITEM_NOT_FOUND, ""),
    "no-such-item": (StanzaCondition.ITEM_NOT_FOUND, ""),
    "forbidden": (StanzaCondition.FORBIDDEN, ""),
    "conflict": (StanzaCondition.CONFLICT, ""),
    "closed-node": (StanzaCondition.NOT_ALLOWED, "closed-node"),
    "presence-subscription-required": (StanzaCondition.NOT_AUTHORIZED, "presence-subscription-required"),
    "not-in-roster-group": (StanzaCondition.NOT_AUTHORIZED, "not-in-roster-group"),
    "precondition-not-met": (StanzaCondition.CONFLICT, "precondition-not-met"),
    "payload-too-big": (StanzaCondition.NOT_ACCEPTABLE, "payload-too-big"),
    "not-subscribed": (StanzaCondition.UNEXPECTED_REQUEST, "not-subscribed"),
}
"""The mailbox's word -> condition and pubsub condition."""


def as_stanza_error(refusal: PubsubRefusal) -> StanzaError:
    """What the asker is told."""
    match refusal.why:
        case "persistent-items" | "subscribe":
            return unsupported(refusal.why)
        case "too-many-nodes":
            return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "no more nodes; delete some")
        case "quota":
            return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "no more room; retract some items")
        case "too-many":
            return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "no more affiliations; remove some")
        case "too-many-subscriptions":
            return error(StanzaCondition.POLICY_VIOLATION, "too-many-subscriptions", type_=ErrorType.WAIT)
        case "not-subscribed":
            return error(StanzaCondition.UNEXPECTED_REQUEST, "not-subscribed", type_=ErrorType.CANCEL)
        case "precondition-not-met":
            text = f"pubsub#{refusal.detail} is something else" if refusal.detail else ""
            return error(StanzaCondition.CONFLICT, "precondition-not-met", text)
        case why:
            condition, specific = ANSWERS[why]
            return error(condition, specific, refusal.detail)
