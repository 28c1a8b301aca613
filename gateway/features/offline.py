"""XEP-0160: Best Practices for Handling Offline Messages, version 1.0.1. Which messages may wait for their recipient.

Storing, the quota and the way back through the session's queue are the mailbox's (`deliver`, `presence`).
"""

from __future__ import annotations

from gateway.hooks import Feature, On, Phase, StanzaTraits, Xep
from gateway.mailbox.settings import OfflineSettings
from gateway.xmpp import ns

FLEETING = frozenset({ns.CHATSTATES, ns.HINTS, ns.STANZA_ID})
"""payloads that mean nothing later"""

NOTES = frozenset({ns.CHATSTATES, ns.HINTS, ns.RECEIPTS, ns.MARKERS, ns.STANZA_ID})
"""payloads about a conversation: nobody wants to hear that one of them did not arrive"""


def traits(event: StanzaTraits) -> None:
    """XEP-0160 section 3: normal and chat, but not chat states alone; no groupchat, headline, error. Hints (XEP-0334)
    are heard.
    """
    stanza = event.stanza
    type_ = stanza.attrs.get("type", "normal")
    thread = (ns.CLIENT, "thread")
    if stanza.children and all(child[0] in NOTES or child == thread for child in stanza.children):
        event.bounces = False
    if type_ in ("headline", "error"):
        return
    if type_ == "groupchat" and not event.settings.of(OfflineSettings).store_groupchat_messages:
        return
    if stanza.has(ns.HINTS, "no-store"):
        return
    if stanza.has(ns.HINTS, "store"):
        event.store = True
        return
    event.store = any(child[0] not in FLEETING and child != thread for child in stanza.children)


def nowhere_to_wait(event: StanzaTraits) -> None:
    """While this is off the quota is nothing: the sender hears of what would have waited (RFC 6121 section 8.5.2.2.1),
    unless the recipient's archive has it.
    """
    traits(event)
    event.store = event.store and not event.archive


NAME = "offline"

FEATURE = Feature(
    name=NAME,
    xep=Xep(160, "1.0.1"),
    disco=("msgoffline",),
    hooks=(On(StanzaTraits, traits),),
    without=(On(StanzaTraits, nowhere_to_wait, Phase.OBSERVE),),
)
