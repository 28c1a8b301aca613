"""Which messages are worth waking a phone for."""

from __future__ import annotations

from typing import Final

from gateway.hooks import StanzaTraits
from gateway.xmpp import ns

COPIES: Final = ("sent", "received")
"""of a copy; `<private/>` of the same namespace is in messages (XEP-0280 section 9)"""

ENCRYPTED: Final = frozenset({*ns.OMEMO, ns.OPENPGP, ns.PGP_LEGACY})


def traits(event: StanzaTraits) -> None:
    """Important is a body, an encrypted payload or a call proposal; never an own carbon, a chat state, a receipt or a
    marker.
    """
    stanza = event.stanza
    if stanza.attrs.get("type") in ("error", "headline") or any(stanza.has(ns.CARBONS, way) for way in COPIES):
        return
    if stanza.has(ns.CALLS, "propose"):
        event.wakes = event.urgent = True
        return
    event.wakes = stanza.has(ns.CLIENT, "body") or any(child[0] in ENCRYPTED for child in stanza.children)
