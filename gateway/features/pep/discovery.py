"""XEP-0060 sections 5.2 to 5.5: an account's nodes in service discovery, for those who may read them."""

from __future__ import annotations

from typing import Final

from gateway.features.pep.config import PREFIX
from gateway.hooks import DiscoInfo, DiscoItems
from gateway.mailbox.pubsub_model import PubsubRefusal
from gateway.mailbox.pubsubs import Pubsubs
from gateway.xmpp import ns
from gateway.xmpp.delay import stamp
from gateway.xmpp.forms import Field, Layout

META_DATA: Final = ns.PUBSUB + "#meta-data"

MOST_LISTED: Final = 1000
"""items in one answer"""


def describe(event: DiscoInfo) -> None:
    """The account is a pubsub service (XEP-0163 section 6); each node tells about itself."""
    if not event.is_account:
        return
    if not event.node:
        event.identities.append(("pubsub", "pep", ""))
        return
    owner = str(event.to)
    try:
        config, count = Pubsubs.of(event.services).config(owner, str(event.asker), event.node)
    except PubsubRefusal:
        return
    event.is_known = True
    event.identities.append(("pubsub", "leaf", config.title))
    event.features.add(ns.PUBSUB)
    shown = {
        "title": config.title, "description": config.description, "type": config.type, "owner": owner,
        "creator": owner, "publisher": owner, "creation_date": stamp(config.created),
        "access_model": config.access_model, "publish_model": "publishers",
        "max_items": str(config.max_items or "max"), "num_items": str(count),
    }  # fmt: skip
    fields = tuple(Field(PREFIX + name, values=(value,)) for name, value in shown.items() if value)
    event.forms.append(Layout("result", form_type=META_DATA, fields=fields).to_bytes())


def listing(event: DiscoItems) -> None:
    """An account's nodes, and a node's items."""
    if not event.to.local:
        return
    owner, asker = str(event.to), str(event.asker)
    pubsubs = Pubsubs.of(event.services)
    if not event.node:
        event.items.extend((owner, config.title, node) for node, config in pubsubs.nodes(owner, asker))
        return
    try:
        names = pubsubs.items(owner, asker, event.node, most=MOST_LISTED)
    except PubsubRefusal as refusal:
        event.is_known |= refusal.why == "persistent-items"
        return
    event.is_known = True
    event.items.extend((owner, item.id, "") for item in names.items)
