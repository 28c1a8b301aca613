"""XEP-0160: Best Practices for Handling Offline Messages, version 1.0.1. Which messages may wait for their recipient.

Storing, the quota and the way back through the session's queue are the mailbox's (`deliver`, `presence`).
"""

from __future__ import annotations

from gateway.hooks import Feature, On, StanzaTraits, Xep
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


FEATURE = Feature(name="offline", xep=Xep(160, "1.0.1"), disco=("msgoffline",), hooks=(On(StanzaTraits, traits),))
