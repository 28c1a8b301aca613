"""XEP-0398: User Avatar to vCard-Based Avatars Conversion, version 1.0. An avatar that a client publishes as an event
is in the vCard too, and the other way round.
"""

from __future__ import annotations

from typing import Final

from gateway.hooks import CardChanged, CardChanging, Feature, On, Phase, Published, Services, Xep
from gateway.mailbox.pubsub_model import Options, PubsubRefusal
from gateway.mailbox.pubsubs import Pubsubs
from gateway.mailbox.vault import NO_PHOTO, StorageSettings, Vault
from gateway.telemetry import get_logger
from gateway.xmpp import ns, vcard
from gateway.xmpp.jid import JID
from gateway.xmpp.payload import NotAnElement

log = get_logger(__name__)

TRIES: Final = 5
"""how often a vCard is changed anew that somebody else changed meanwhile"""

OPEN: Final[Options] = {"access_model": "open"}
"""what a vCard shows is everybody's to see"""


def to_card(event: Published) -> None:
    """XEP-0398 section 4.1. Only what everybody may see goes into a vCard, which everybody may see (section 8)."""
    if event.node != ns.AVATAR_METADATA or not event.items:
        return
    try:
        metadata = event.items[-1][1]
        shown = vcard.described(metadata)
        photo = _photo(event.services, event.session.jid, *shown) if shown is not None else None
        if photo is not None or vcard.is_taken_back(metadata):
            _show(event.services, event.owner, photo)
    except (NotAnElement, PubsubRefusal) as why:
        log.info("avatar_not_converted", user=str(event.owner), why=str(why))


def _photo(services: Services, asker: JID, name: str, type_: str) -> vcard.Photo | None:
    """The published image; None if it is not there, not for everybody, or not what its name says."""
    pubsubs, owner = Pubsubs.of(services), str(asker.bare)
    config, _ = pubsubs.config(owner, str(asker), ns.AVATAR_DATA)
    if config.access_model != "open":
        return None
    found = pubsubs.items(owner, str(asker), ns.AVATAR_DATA, mode="ids", ids=[name]).items
    photo = vcard.Photo(vcard.data(found[0].xml), type_) if found else None
    return photo if photo is not None and photo.id == name.lower() else None


def _show(services: Services, owner: JID, photo: vcard.Photo | None) -> None:
    user, vault, limits = str(owner), Vault(services.mailbox), services.settings.of(StorageSettings)
    for _ in range(TRIES):
        card = vault.own_card(user)
        if photo is None and not card:
            return
        changed = vcard.with_photo(card or vcard.EMPTY, photo)
        hashed = photo.id.encode() if photo is not None else NO_PHOTO
        kept = vault.keep_card(user, changed, hashed, limits, instead_of=card)
        if kept is None:
            continue
        if kept:
            services.features.fire(CardChanged(owner, services))
        else:
            log.info("avatar_not_converted", user=user, why="the vCard would be too large")
        return


def from_card(event: CardChanging) -> None:
    """XEP-0398 section 4.2: first the image, then what is said of it."""
    pubsubs, owner = Pubsubs.of(event.services), str(event.owner)
    hashed = event.photo.id if event.photo is not None else ""
    if hashed == event.former:
        return
    try:
        if event.photo is not None:
            _publish(pubsubs, owner, ns.AVATAR_DATA, hashed, event.photo.item())
            _publish(pubsubs, owner, ns.AVATAR_METADATA, hashed, event.photo.metadata())
        else:
            _publish(pubsubs, owner, ns.AVATAR_METADATA, "current", vcard.NO_METADATA)
    except PubsubRefusal as why:
        log.info("avatar_not_converted", user=owner, why=str(why))


def _publish(pubsubs: Pubsubs, owner: str, node: str, item: str, payload: bytes) -> None:
    """A node that is not there yet is made for everybody; one that is there stays as its owner wants it."""
    try:
        pubsubs.publish(owner, node, item, payload, OPEN)
    except PubsubRefusal as refusal:
        if refusal.why != "precondition-not-met":
            raise
        pubsubs.publish(owner, node, item, payload)


FEATURE = Feature(
    name="avatar-conversion",
    xep=Xep(398, "1.0.0"),
    account_disco=(ns.AVATAR_CONVERSION,),
    hooks=(On(Published, to_card, Phase.OBSERVE), On(CardChanging, from_card, Phase.OBSERVE)),
    requires=("pep", "vcard", "avatars"),
)
