"""XEP-0352: Client State Indication, version 1.0.0. An inactive client is written to only when something urgent came.

The mailbox does not show an inactive session's cursor what may wait, so the queue keeps its order: what is urgent is
written with all that waits before it, and `<active/>` shows the rest. Presence and events wait beside the queue, where
the newest replaces the one before.
"""

from __future__ import annotations

from gateway.hooks import Feature, On, SessionView, StanzaTraits, Xep
from gateway.xmpp import ns
from gateway.xmpp.stanza import Element

MAY_WAIT = frozenset(
    {
        ns.CHATSTATES, ns.RECEIPTS, ns.MARKERS, ns.HINTS, ns.STANZA_ID, ns.PUBSUB_EVENT, ns.DELAY,
    }
)  # fmt: skip
"""payloads that nobody has to look at now"""

THREAD = (ns.CLIENT, "thread")


def traits(event: StanzaTraits) -> None:
    """What has nothing else in it may wait. Errors are for the client's bookkeeping, and it waits for those."""
    stanza = event.stanza
    event.hold = stanza.attrs.get("type") != "error" and all(
        child[0] in MAY_WAIT or child == THREAD for child in stanza.children
    )


def active(session: SessionView, element: Element) -> None:
    """Section 4.2: what waited is written before anything that the client asks for after this."""
    session.rest(False)


def inactive(session: SessionView, element: Element) -> None:
    """Section 4.2."""
    session.rest(True)


FEATURE = Feature(
    name="csi",
    xep=Xep(352, "1.0.0"),
    nonzas={(ns.CSI, "active"): active, (ns.CSI, "inactive"): inactive},
    stream_features=f"<csi xmlns='{ns.CSI}'/>",
    hooks=(On(StanzaTraits, traits),),
)
