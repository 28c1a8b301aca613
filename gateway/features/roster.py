"""RFC 6121 section 2: the roster, with versioning (XEP-0237: Roster Versioning, version 1.3)."""

from __future__ import annotations

from typing import Any

from gateway.hooks import Feature, On, Query, StreamFeatures, Xep
from gateway.mailbox.rosters import NotInRoster, Rosters, RosterSettings
from gateway.mailbox.subscriptions import RosterFull
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError, roster_full
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import several
from gateway.xmpp.reading import child_attributes


def _check_own(query: Query) -> None:
    if not query.is_own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)


def fetch(query: Query) -> None:
    """RFC 6121 sections 2.2 and 2.6: the roster, or only what has changed; the session is interested from now on."""
    _check_own(query)
    rosters = Rosters(query.services.mailbox, query.services.announce)
    known = child_attributes(query.iq).get("ver") if _settings(query).versioning else None
    roster = rosters.get(str(query.to), known or "")
    if roster.items is None:
        query.reply(b"")
    else:
        version = "" if known is None else f" ver='{roster.version}'"
        query.reply(b"<query xmlns='%b'%b>%b</query>" % (ns.ROSTER.encode(), version.encode(), roster.items))
    # Only now, so that no push can come before a result that is older than it.
    rosters.follow(query.session.grip, roster.version)


def _settings(query: Query) -> RosterSettings:
    return query.services.settings.of(RosterSettings)


def change(query: Query) -> None:
    """RFC 6121 sections 2.3 to 2.5: one item is made, changed or removed."""
    _check_own(query)
    item = _item(next(iter(query.iq.payload().values()))[f"{ns.ROSTER}|query"])
    contact = _contact(item, query.to)
    rosters = Rosters(query.services.mailbox, query.services.announce)
    try:
        if item.get("@subscription") == "remove":
            rosters.remove(str(query.to), str(contact))
        else:
            settings = _settings(query)
            name, groups = _name(item, settings), _groups(item, settings)
            rosters.set(str(query.to), str(contact), name=name, groups=groups, most_items=settings.max_items)
    except NotInRoster as missing:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND) from missing
    except RosterFull as full:
        raise roster_full() from full
    query.reply(b"")


def _item(content: Any) -> dict[str, Any]:
    items = several(content, f"{ns.ROSTER}|item")
    if len(items) != 1 or not isinstance(items[0], dict):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "a roster set has exactly one item, with a jid")
    return items[0]


def _contact(item: dict[str, Any], own: JID) -> JID:
    text = item.get("@jid")
    if not text:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "an item has a jid")
    try:
        jid = JID.parse(text)
    except JIDError as error:
        raise StanzaError(StanzaCondition.JID_MALFORMED, str(error)) from error
    if jid.resource:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "a contact is a bare JID")
    if jid == own:
        raise StanzaError(StanzaCondition.NOT_ALLOWED, "an account is no contact of its own")
    return jid


def _name(item: dict[str, Any], settings: RosterSettings) -> str:
    name = str(item.get("@name") or "")
    if len(name) > settings.max_name_length:
        most = settings.max_name_length
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"the name has more than {most} characters")
    return name


def _groups(item: dict[str, Any], settings: RosterSettings) -> list[str]:
    """RFC 6121 section 2.3.3."""
    groups = [_text(group) for group in several(item, f"{ns.ROSTER}|group")]
    if len(groups) > settings.max_groups:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"more than {settings.max_groups} groups")
    if any(not group or len(group) > settings.max_name_length for group in groups):
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE, f"a group's name has 1 to {settings.max_name_length} characters"
        )
    if len(set(groups)) < len(groups):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "each group may be named once")
    return groups


def _text(value: Any) -> str:
    text = value.get("#text") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""


def offer(event: StreamFeatures) -> None:
    """RFC 6121 section 2.6.1."""
    if event.services.settings.of(RosterSettings).versioning:
        event.offered.append(f"<ver xmlns='{ns.ROSTER_VERSIONING}'/>")


FEATURE = Feature(
    name="roster",
    xep=Xep(237, "1.3"),
    iq_get={(ns.ROSTER, "query"): fetch},
    iq_set={(ns.ROSTER, "query"): change},
    hooks=(On(StreamFeatures, offer),),
)
