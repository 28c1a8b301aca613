"""What stands in a pubsub request (XEP-0060): elements, names, forms. Everything here raises StanzaError."""

from __future__ import annotations

from typing import Final

from gateway.features.pep.errors import bad, error
from gateway.hooks import Query
from gateway.xmpp import forms, ns, tree
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.tree import Tree

LONGEST_NAME: Final = 1023
"""bytes of a node's or an item's name; rooms' addresses are items' names (XEP-0402)"""

DEPTH: Final = 4
"""iq, pubsub, publish, item, payload"""


def read_request(query: Query) -> Tree:
    """The <pubsub/> element."""
    try:
        return tree.read(query.iq, DEPTH).children[0]
    except NotAnElement as fault:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the payload cannot be read") from fault


def only(parent: Tree, name: str) -> Tree | None:
    """The child of this name in the parent's namespace; None if there is none."""
    found = parent.named(parent.ns, name)
    if len(found) > 1:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"more than one {name}")
    return found[0] if found else None


def name_of(text: str, what: str) -> str:
    """A node's or an item's name, checked: control characters would break what is kept of it."""
    if len(text.encode()) > LONGEST_NAME or any(character < " " or character == "\x7f" for character in text):
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE, f"{what} has at most {LONGEST_NAME} bytes and no control characters"
        )
    return text


def node_of(action: Tree) -> str:
    """The attribute `node`, which has to be there."""
    node = action.attrs.get("node", "")
    if not node:
        raise bad("nodeid-required", "the attribute node names the node")
    return name_of(node, "a node's name")


def optional_node(action: Tree) -> str:
    """The attribute `node`, or ""."""
    return name_of(action.attrs.get("node", ""), "a node's name")


def item_ids(action: Tree) -> list[str]:
    """The ids of <item/> children."""
    ids = []
    for child in action.children:
        if (child.ns, child.name) != (action.ns, "item") or not child.attrs.get("id"):
            raise bad("item-required", "every item has an id")
        ids.append(name_of(child.attrs["id"], "an item's id"))
    return ids


def form_of(parent: Tree) -> forms.Form:
    """The data form among the children, of which there is one."""
    found = parent.named(ns.DATA_FORMS, "x")
    if len(found) != 1:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "one data form is needed (XEP-0004)")
    return forms.read(found[0].xml)


def own_jid(query: Query, action: Tree, condition: StanzaCondition) -> JID:
    """The attribute `jid`, which is the asker's, bare or full; `condition` is for somebody else's."""
    try:
        jid = JID.parse(action.attrs.get("jid", ""))
    except JIDError as fault:
        raise bad("jid-required" if "jid" not in action.attrs else "invalid-jid", str(fault)) from fault
    if jid.bare != query.asker.bare:
        specific = "invalid-jid" if condition is StanzaCondition.BAD_REQUEST else ""
        raise error(condition, specific, "a subscription is one's own")
    return jid


def is_true(text: str | None) -> bool:
    """An xs:boolean attribute; absent is false."""
    if text not in (None, "0", "1", "true", "false"):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "a boolean is 0, 1, true or false")
    return text in ("1", "true")
