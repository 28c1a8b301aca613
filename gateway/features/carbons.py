"""XEP-0280: Message Carbons, version 1.0.1. Copies of what an account's other devices send and receive.

Which messages are eligible is said here (section 6.1); the copies are made by the mailbox in the step that delivers
the message, and the session keeps its wish in the mailbox too, so that it outlives a resumption.
"""

from __future__ import annotations

from typing import Any

from gateway.hooks import Feature, On, Query, StanzaTraits, Xep
from gateway.sections import ServerSettings
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import several
from gateway.xmpp.stanza import Element

INSTANT_MESSAGING = frozenset({ns.RECEIPTS, ns.CHATSTATES, ns.MARKERS, ns.CONFERENCE, ns.CALLS})
"""payloads that make a message without a type eligible"""


def traits(event: StanzaTraits) -> None:
    """Section 6.1. A copy is never copied, and neither is what its sender calls private."""
    stanza = event.stanza
    if stanza.has(ns.CARBONS) or stanza.has(ns.HINTS, "no-copy"):
        return
    if stanza.has(ns.MUC_USER, "x"):
        event.is_typical = False
        if not _is_eligible_of_room(event):
            return
    type_ = stanza.attrs.get("type", "normal")
    if type_ in ("chat", "error") or (stanza.has(ns.MUC_USER, "x") and _invites(stanza)):
        event.carbon = type_ != "groupchat"
    elif type_ not in ("groupchat", "headline"):
        event.carbon = stanza.has(ns.CLIENT, "body") or any(child[0] in INSTANT_MESSAGING for child in stanza.children)


def _is_eligible_of_room(event: StanzaTraits) -> bool:
    """A room sends private messages to all devices that are in it; an invitation it sends but once. What a user of this
    server writes to an occupant is copied to the user's own devices.
    """
    return _is_from_here(event) or _invites(event.stanza)


def _is_from_here(event: StanzaTraits) -> bool:
    try:
        return JID.parse(event.stanza.attrs["from"]).domain in event.settings.of(ServerSettings).domains
    except KeyError:
        return True
    except JIDError:
        return False


def _invites(stanza: Element) -> bool:
    (content,) = stanza.payload().values()
    return any(isinstance(x, dict) and f"{ns.MUC_USER}|invite" in x for x in several(content, f"{ns.MUC_USER}|x"))


def enable(query: Query) -> None:
    """Section 4."""
    _switch(query, is_on=True)


def disable(query: Query) -> None:
    """Section 5."""
    _switch(query, is_on=False)


def _switch(query: Query, *, is_on: bool) -> None:
    if not query.is_own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    (iq,) = query.iq.payload().values()
    payload: Any = iq["|".join(query.iq.children[0])]
    if payload is not None and not (isinstance(payload, dict) and all(key.startswith("@") for key in payload)):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "enable and disable are empty")
    if not query.services.mailbox.carbons(query.session.grip, is_on):
        raise StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR)
    query.reply(b"")


FEATURE = Feature(
    name="carbons",
    xep=Xep(280, "1.0.1"),
    disco=(ns.CARBONS,),
    account_disco=(ns.CARBONS,),
    iq_set={(ns.CARBONS, "enable"): enable, (ns.CARBONS, "disable"): disable},
    hooks=(On(StanzaTraits, traits),),
)
