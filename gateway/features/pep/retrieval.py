"""XEP-0060 section 6.5: retrieving items: all, the newest, some by their ids, or page by page (XEP-0059)."""

from __future__ import annotations

from typing import Final

from gateway.features.pep.errors import unsupported
from gateway.features.pep.reading import item_ids, name_of, node_of
from gateway.features.pep.serving import pubsubs
from gateway.hooks import Query
from gateway.mailbox.pubsub_model import ItemPage, Mode
from gateway.xmpp import ns, rsm
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.payload import read as read_payload
from gateway.xmpp.rsm import PageRequest
from gateway.xmpp.tree import Tree

MOST: Final = 1000
"""items of one answer"""


def items(query: Query, pubsub: Tree, action: Tree) -> bytes:
    """The items, oldest first. What does not fit into one answer is told as a page of it (section 6.5.4)."""
    node, ids = node_of(action), item_ids(action)
    asked = _page_request(pubsub)
    mode, most, named = _what(action, ids, asked)
    page = pubsubs(query).items(str(query.to), str(query.asker), node, mode=mode, most=most, ids=named)
    shown = b"".join(item.xml for item in page.items)
    is_part = mode == "all" and not ids and len(page.items) < page.count
    end = _set(page) if (asked is not None or is_part) and mode != "ids" else ""
    begin = f"<pubsub xmlns='{ns.PUBSUB}'><items node='{escape(node)}'>"
    return b"%b%b</items>%b</pubsub>" % (begin.encode(), shown, end.encode())


def _page_request(pubsub: Tree) -> PageRequest | None:
    sets = pubsub.named(ns.RSM, "set")
    if len(sets) > 1:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "one set at most")
    return rsm.read(read_payload(sets[0].xml)) if sets else None


def _what(action: Tree, ids: list[str], asked: PageRequest | None) -> tuple[Mode, int, list[str]]:
    if ids:
        return "ids", len(ids), ids
    if asked is None:
        newest = _newest(action.attrs.get("max_items"))
        return ("all", MOST, []) if newest is None else ("last", newest, [])
    if asked.index is not None:
        raise unsupported("rsm", "pages are asked for by items, not by their number")
    most = MOST if asked.max is None else min(asked.max, MOST)
    if asked.after is not None:
        return "after", most, [name_of(asked.after, "an item's id")]
    if asked.before:
        return "before", most, [name_of(asked.before, "an item's id")]
    return ("all" if asked.before is None else "last"), most, []


def _newest(text: str | None) -> int | None:
    """Section 6.5.7: so many of the newest."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "max_items is a number")
    return min(int(text), MOST)


def _set(page: ItemPage) -> str:
    if not page.items:
        return rsm.write(count=page.count)
    return rsm.write(first=page.items[0].id, last=page.items[-1].id, index=page.first, count=page.count)
