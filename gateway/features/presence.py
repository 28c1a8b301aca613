"""RFC 6121 sections 3 and 4: presence and subscriptions, as the router and sessions hand them on.

Presence is no payload of its own, so this is less a feature than the part of the router that is about presence. It
waits for the store in the greenlet of the sender's connection, so that a client's stanzas keep their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.hooks import Feature, PresenceChanged, PresenceSending, Services, SessionView, SubscriptionSent
from gateway.mailbox.entry import PRESENCE
from gateway.mailbox.errors import StoreError
from gateway.mailbox.presence_settings import PresenceSettings
from gateway.mailbox.presences import Presences, Said
from gateway.mailbox.rosters import RosterSettings
from gateway.mailbox.subscriptions import BlockedByYou, RosterFull, Subscriptions, plain
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.errors import blocked_by_you, roster_full
from gateway.xmpp.jid import JID
from gateway.xmpp.reading import child_text
from gateway.xmpp.stanza import Element

log = get_logger(__name__)


def broadcast(session: SessionView, element: Element, services: Services, then: Callable[[], None]) -> Said | None:
    """A session's own presence: sections 4.2 (initial), 4.4 (later) and 4.5 (unavailable). None: it is no more ours.

    `then` is called when the contacts' answers are on their way into the session's queue.
    Raises StoreError; StanzaError if a feature refuses the presence.
    """
    priority = None if element.attrs.get("type") else _priority(element)
    full, bare = str(session.jid), str(session.jid.bare)
    written = element
    if services.features.wants(PresenceSending):
        element = services.features.fire(PresenceSending(session, element, priority, services)).element
    stanza = element.retagged({"from": full, "to": None})
    settings = services.settings.of(PresenceSettings)
    presences = Presences(services.mailbox, services.announce)
    said = presences.say(
        session.grip,
        user=bare,
        priority=priority,
        stanza=stanza,
        fade_ms=settings.hibernation_available_time * 1000,
        fade_to=settings.hibernation_presence,
        written=written.retagged({"from": full, "to": None}) if element is not written else b"",
    )
    if said is None:
        return None
    subscriptions = Subscriptions(services.mailbox, services.announce)
    presences.tell(
        said,
        grip=session.grip,
        full=full,
        bare=bare,
        stanza=stanza,
        is_initial=priority is not None and said.former is None,
        refused=lambda contact: subscriptions.refused(user=bare, contact=contact),
        then=then,
    )
    if services.features.wants(PresenceChanged):
        services.features.fire(PresenceChanged(session, element, said.former, priority, services))
    return said


def _priority(element: Element) -> int:
    """RFC 6121 section 4.7.2.3: -128 to 127, 0 when absent or unreadable."""
    if not element.has(ns.CLIENT, "priority"):
        return 0
    text = child_text(element, (ns.CLIENT, "priority"))
    try:
        return max(-128, min(127, int(text)))
    except ValueError:
        return 0


def directed(session: SessionView, to: JID, services: Services, *, is_available: bool) -> None:
    """Section 4.6: directed presence is about to be delivered. Never blocks."""
    if to.bare != session.jid.bare:
        Presences(services.mailbox, services.announce).direct(session.grip, str(to), is_available=is_available)


def probe(session: SessionView, to: JID, services: Services, then: Callable[[], None]) -> None:
    """Section 4.3: a client asks for a contact's presence itself; the answer goes to it alone. `then` is called when
    that is on its way. Never blocks.
    """
    presences = Presences(services.mailbox, services.announce)
    contact, bare = str(to.bare), str(session.jid.bare)

    def answered(reply: object) -> None:
        if isinstance(reply, list) and reply[0] != b"blocked":
            presences.receive(session.grip, _probed(contact, bare, reply))
        then()

    presences.meet(contact, full=str(session.jid), bare=bare, asks=True, then=answered)


def _probed(contact: str, bare: str, reply: list[Any]) -> list[bytes | str]:
    """Section 4.3.2: who may not know is told the same of every account, be it there or not."""
    if not reply[2]:
        kind = "unsubscribed" if reply[0] == b"refused" else "unavailable"
        return [PRESENCE, contact, plain(contact, bare, kind)]
    return [part for i in range(0, len(reply[2]), 2) for part in (PRESENCE, reply[2][i], reply[2][i + 1])]


def subscribe(session: SessionView, element: Element, to: JID, services: Services) -> None:
    """Section 3: a stanza that manages subscriptions, to an account here. Raises StanzaError, StoreError."""
    user, contact = str(session.jid.bare), str(to.bare)
    if user == contact:
        return  # one's own resources see each other anyway
    stanza = element.retagged({"from": user, "to": contact})
    settings = services.settings.of(RosterSettings)
    try:
        Subscriptions(services.mailbox, services.announce).send(
            user=user,
            contact=contact,
            type_=element.attrs["type"],
            stanza=stanza,
            most_items=settings.max_items,
        )
    except RosterFull as full:
        raise roster_full() from full
    except BlockedByYou as blocked:
        raise blocked_by_you() from blocked
    services.features.fire(SubscriptionSent(session.jid.bare, to.bare, element.attrs["type"], services))


def farewell(user: str, services: Services) -> None:
    """A session has just ended: contacts hear of it now and not with the sweeper's next round."""
    try:
        Presences(services.mailbox, services.announce).farewells(user)
    except StoreError as error:
        log.warning("farewell_left_to_the_sweeper", error=str(error))


NAME = "presence"
"""when it is off, the router refuses subscriptions and probes; a session still says of itself that it takes messages"""

FEATURE = Feature(name=NAME, stream_features=f"<sub xmlns='{ns.SUBSCRIPTION_PRE_APPROVAL}'/>", requires=("roster",))
