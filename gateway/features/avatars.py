"""XEP-0153: vCard-Based Avatars, version 1.1.1. The hash of the vCard's photo goes into a user's presence where the
client did not put it, and when it changes contacts are told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.hooks import CardChanged, Feature, On, Phase, PresenceSending, Services, StanzaReceived, Xep
from gateway.mailbox.avatars import Avatars, Telling
from gateway.mailbox.presences import Presences
from gateway.mailbox.vault import NO_PHOTO, Vault
from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.inner import inner
from gateway.xmpp.jid import JID
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.stanza import add_child, peek
from gateway.xmpp.start_tag import end_of_tag
from gateway.xmpp.vcard import advertised, advertisement

TRIES: Final = 5
"""how often sessions are looked at that say something else meanwhile"""

_X = (ns.VCARD_UPDATE, "x")


def broadcast(event: PresenceSending) -> None:
    """XEP-0398 section 5: own presence, when available."""
    if event.priority is not None:
        event.element = _known(event.element, event.session.jid, event.services)


def direct(event: StanzaReceived) -> None:
    """XEP-0398 section 5: directed presence too, as to rooms."""
    element = event.element
    if element.name == "presence" and event.to is not None and "type" not in element.attrs:
        event.element = _known(element, event.session.jid, event.services)


def changed(event: CardChanged) -> None:
    """Who has presence of this account gets it again, if it told another photo. Each session's once for each change,
    however often this runs: what it tells is compared with what it should tell.
    """
    user, services = str(event.owner), event.services
    avatars, is_anything_told = Avatars(services.mailbox), False
    for _ in range(TRIES):
        known, sessions = avatars.told(user)
        due = [(telling, new) for telling in sessions if (new := _anew(telling, known)) is not None]
        done = [avatars.tell(user, telling, *new) for telling, new in due]
        is_anything_told = is_anything_told or any(done)
        if all(done):
            break
    if is_anything_told:
        Presences(services.mailbox, services.announce).farewells(user)


def _anew(telling: Telling, known: bytes) -> tuple[bytes, bytes] | None:
    """What a session should tell, awake and asleep; None if that is what it tells."""
    try:
        new = _told(peek(telling.written), known)
        if (_said(new) or "") == (_said(peek(telling.told)) or ""):
            return None
        if not telling.asleep:
            return new.raw, b""
        x = b"".join(child.raw for child in inner(new) if (child.ns, child.name) == _X)
        return new.raw, _showing(peek(telling.asleep), x)
    except NotAnElement:
        return None  # not ours to judge


def _known(element: Element, jid: JID, services: Services) -> Element:
    try:
        # Without a look at the store for a client that shows no avatar.
        return element if _said(element) == "" else _told(element, Vault(services.mailbox).photo(str(jid.bare)))
    except NotAnElement:
        return element  # not ours to judge


def _told(element: Element, known: bytes) -> Element:
    """The presence with what the server knows. A client that says that it shows no avatar is left alone (XEP-0398
    section 5); one that shows another image than the vCard's is behind.
    """
    said = _said(element)
    if said == "" or not known or known.decode() == said:
        return element
    raw = _showing(element, advertisement("" if known == NO_PHOTO else known.decode()))
    kept = tuple(child for child in element.children if child != _X)
    return replace(element, raw=raw, head=end_of_tag(raw), children=(*kept, _X))


def _said(element: Element) -> str | None:
    """What the client said; None: nothing, or that it is not ready to."""
    if _X not in element.children:
        return None
    found = [child for child in inner(element) if (child.ns, child.name) == _X]
    return advertised(found[0].raw) if len(found) == 1 else None


def _showing(element: Element, x: bytes) -> bytes:
    """With `x` in place of what it shows."""
    if _X not in element.children:
        return add_child(element.raw, x)
    kept = b"".join(child.raw for child in inner(element) if (child.ns, child.name) != _X)
    return add_child(element.raw[: element.head] + kept + element.raw[element.raw.rindex(b"<") :], x)


FEATURE = Feature(
    name="avatars",
    xep=Xep(153, "1.1.1"),
    hooks=(
        On(PresenceSending, broadcast, Phase.REWRITE),
        On(StanzaReceived, direct, Phase.REWRITE, frozenset()),
        On(CardChanged, changed, Phase.OBSERVE),
    ),
    requires=("vcard",),
)
