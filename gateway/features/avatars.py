"""XEP-0153: vCard-Based Avatars, version 1.1.1. The hash of the vCard's photo goes into a user's presence where the
client did not put it.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.hooks import Feature, On, Phase, PresenceSending, Services, StanzaReceived, Xep
from gateway.mailbox.vault import NO_PHOTO, Vault
from gateway.xmpp import ns
from gateway.xmpp.children import children
from gateway.xmpp.element import Element
from gateway.xmpp.jid import JID
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.stanza import add_child
from gateway.xmpp.start_tag import end_of_tag
from gateway.xmpp.vcard import advertised, advertisement

_X = (ns.VCARD_UPDATE, "x")


def broadcast(event: PresenceSending) -> None:
    """XEP-0398 section 5: own presence, when available."""
    if event.priority is not None:
        event.element = _told(event.element, event.session.jid, event.services)


def direct(event: StanzaReceived) -> None:
    """XEP-0398 section 5: directed presence too, as to rooms."""
    element = event.element
    if element.name == "presence" and event.to is not None and "type" not in element.attrs:
        event.element = _told(element, event.session.jid, event.services)


def _told(element: Element, jid: JID, services: Services) -> Element:
    """The presence with what the server knows. A client that says that it shows no avatar is left alone (XEP-0398
    section 5); one that shows another image than the vCard's is behind.
    """
    try:
        said = _said(element)
    except NotAnElement:
        return element  # not ours to judge
    if said == "":
        return element
    known = Vault(services.mailbox).photo(str(jid.bare))
    if not known or known.decode() == said or (known == NO_PHOTO and said is not None):
        return element
    x = advertisement("" if known == NO_PHOTO else known.decode())
    others = _without(element) if element.children.count(_X) else element.raw
    raw = add_child(others, x)
    kept = tuple(child for child in element.children if child != _X)
    return replace(element, raw=raw, head=end_of_tag(raw), children=(*kept, _X))


def _said(element: Element) -> str | None:
    """What the client said; None: nothing, or that it is not ready to."""
    if _X not in element.children:
        return None
    found = [child for child in children(element) if (child.ns, child.name) == _X]
    return advertised(found[0].raw) if len(found) == 1 else None


def _without(element: Element) -> bytes:
    kept = b"".join(child.raw for child in children(element) if (child.ns, child.name) != _X)
    return element.raw[: element.head] + kept + element.raw[element.raw.rindex(b"<") :]


FEATURE = Feature(
    name="avatars",
    xep=Xep(153, "1.1.1"),
    hooks=(On(PresenceSending, broadcast, Phase.REWRITE), On(StanzaReceived, direct, Phase.REWRITE)),
    requires=("vcard",),
)
