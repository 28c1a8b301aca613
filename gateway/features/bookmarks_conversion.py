"""XEP-0402: PEP Native Bookmarks, version 1.2. Rooms that a client bookmarks in one of the older ways, in private XML
or as one published list (XEP-0048), are there in the new way, and the other way round.

The items of urn:xmpp:bookmarks:1 are what is true. The list in private XML is made of them whenever it is asked for;
the published list is made anew whenever they change. What older lists hold besides rooms stays in private XML.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.hooks import Feature, On, Phase, PrivateXml, Published, Services, Xep
from gateway.mailbox.pubsub_model import Options, PubsubRefusal
from gateway.mailbox.pubsubs import Pubsubs
from gateway.mailbox.vault import StorageSettings, Vault
from gateway.telemetry import get_logger
from gateway.xmpp import bookmarks, ns
from gateway.xmpp.bookmarks import Bookmark, Storage
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID
from gateway.xmpp.payload import NotAnElement

log = get_logger(__name__)

NAME: Final = f"{{{ns.BOOKMARKS_LEGACY}}}storage"
"""the list's name in private XML"""

LIST: Final = "current"
"""id of the one item of the published list (XEP-0048 section 3.2)"""

PAGE: Final = 500

ITEMS: Final[Options] = {
    "access_model": "whitelist",
    "persist_items": True,
    "max_items": 0,
    "send_last_published_item": "never",
}
"""XEP-0402 section 3, as XEP-0223 wants it: nobody else sees it, and all items are kept"""

OLD_LIST: Final[Options] = {"access_model": "whitelist", "persist_items": True}


@dataclass(frozen=True, slots=True)
class Rooms:
    """The bookmarks of one account."""

    services: Services
    owner: JID
    asker: JID

    def all(self) -> dict[str, Bookmark]:
        """By the item's id, in the order of publication; empty without the node."""
        pubsubs, found = Pubsubs.of(self.services), {}
        try:
            page = pubsubs.items(str(self.owner), str(self.asker), ns.BOOKMARKS, most=PAGE)
            while page.items:
                for item in page.items:
                    bookmark = bookmarks.read_item(item.id, item.xml)
                    if bookmark is not None:
                        found[item.id] = bookmark
                last = page.items[-1].id
                page = pubsubs.items(
                    str(self.owner), str(self.asker), ns.BOOKMARKS, mode="after", most=PAGE, ids=[last]
                )
        except PubsubRefusal as refusal:
            if refusal.why != "item-not-found":
                raise
        return found

    def become(self, wanted: tuple[Bookmark, ...]) -> None:
        """Publish what is new or different, retract what is not wanted any more; the rest is told to nobody."""
        pubsubs, owner, there = Pubsubs.of(self.services), str(self.owner), self.all()
        for bookmark in wanted:
            former = there.get(bookmark.jid)
            if former is None:
                _publish(pubsubs, owner, ns.BOOKMARKS, bookmark.jid, bookmark.to_item(), ITEMS)
            elif not bookmark.is_like(former):
                changed = replace(bookmark, extensions=former.extensions)
                _publish(pubsubs, owner, ns.BOOKMARKS, bookmark.jid, changed.to_item(), ITEMS)
        for name in there.keys() - {bookmark.jid for bookmark in wanted}:
            pubsubs.retract(owner, ns.BOOKMARKS, name, notify=True)

    def storage(self) -> Storage:
        """The list as older clients want it."""
        (kept,) = Vault(self.services.mailbox).private(str(self.owner), [NAME])
        others = bookmarks.read_storage(kept).others if kept else b""
        return Storage(tuple(self.all().values()), others)

    def publish_list(self) -> None:
        """Make the published list anew."""
        listed = self.storage().to_xml()
        _publish(Pubsubs.of(self.services), str(self.owner), ns.BOOKMARKS_LEGACY, LIST, listed, OLD_LIST)


def _publish(pubsubs: Pubsubs, owner: str, node: str, item: str, payload: bytes, options: Options) -> None:
    """A node that a client has made otherwise stays as it is, but for that it has to hold what is put into it: clients
    forget to ask for more than one item, and the next room would drive out the last.
    """
    try:
        pubsubs.publish(owner, node, item, payload, options)
    except PubsubRefusal as refusal:
        if refusal.why != "precondition-not-met":
            raise
        holds: Options = {name: options[name] for name in ("persist_items", "max_items") if name in options}
        pubsubs.configure(owner, node, holds, f"<configuration node='{escape(node)}'/>".encode())
        pubsubs.publish(owner, node, item, payload)


def private_xml(event: PrivateXml) -> None:
    """The list in private XML is written or read. Raises StanzaError for what is no list, or does not fit."""
    if event.name != (ns.BOOKMARKS_LEGACY, "storage"):
        return
    rooms = Rooms(event.services, event.owner, event.session.jid)
    if not event.is_kept:
        storage = rooms.storage()
        event.content = storage.to_xml() if storage.bookmarks or storage.others else b""
        return
    try:
        written = bookmarks.read_storage(event.content)
        rooms.become(written.bookmarks)
        others = _keep_others(rooms, written)
        rooms.publish_list()
    except NotAnElement as error:
        raise StanzaError(StanzaCondition.BAD_REQUEST, str(error)) from error
    except PubsubRefusal as refusal:
        raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, str(refusal)) from refusal
    event.content = others


def _keep_others(rooms: Rooms, written: Storage) -> bytes:
    """What is no room goes where the list itself was. Raises StanzaError."""
    others = Storage((), written.others).to_xml() if written.others else b""
    limits = rooms.services.settings.of(StorageSettings)
    if not Vault(rooms.services.mailbox).keep_private(str(rooms.owner), {NAME: others}, limits):
        raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "there is no room for so many bookmarks")
    return others


def published(event: Published) -> None:
    """A client changed the items, or published the list in the older form."""
    rooms = Rooms(event.services, event.owner, event.session.jid)
    try:
        if event.node == ns.BOOKMARKS_LEGACY and event.items:
            written = bookmarks.read_storage(event.items[-1][1])
            rooms.become(written.bookmarks)
            _keep_others(rooms, written)
        elif event.node == ns.BOOKMARKS:
            rooms.publish_list()
    except (NotAnElement, PubsubRefusal, StanzaError) as why:
        log.info("bookmarks_not_converted", user=str(event.owner), why=str(why))


FEATURE = Feature(
    name="bookmarks-conversion",
    xep=Xep(402, "1.2.0"),
    account_disco=(f"{ns.BOOKMARKS}#compat", f"{ns.BOOKMARKS}#compat-pep"),
    hooks=(On(PrivateXml, private_xml, Phase.REWRITE), On(Published, published, Phase.OBSERVE)),
    requires=("pep", "private-storage"),
)
