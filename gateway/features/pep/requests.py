"""XEP-0060 sections 5 to 7 and 8.1: what subscribers and the publisher ask for, in the namespace `pubsub`."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

from gateway.features.pep import config
from gateway.features.pep.errors import bad, unsupported
from gateway.features.pep.reading import (
    form_of,
    is_true,
    item_ids,
    name_of,
    node_of,
    only,
    optional_node,
    own_jid,
)
from gateway.features.pep.retrieval import items
from gateway.features.pep.serving import Action, own_only, pubsubs, serve
from gateway.hooks import Published, Query
from gateway.mailbox.pubsub_model import Options, PubsubSettings
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.tree import Tree


def _answer(inner: str) -> bytes:
    return f"<pubsub xmlns='{ns.PUBSUB}'>{inner}</pubsub>".encode()


def publish(query: Query, pubsub: Tree, action: Tree) -> bytes:
    """Section 7.1. Only the owner publishes (XEP-0163 section 3.2)."""
    own_only(query)
    node, owner = node_of(action), str(query.to)
    if not action.children:
        raise bad("item-required", "there is no item")
    if len(action.children) > 1 or not action.named(ns.PUBSUB, "item"):
        raise bad("invalid-payload", "one item is published at a time")
    item = action.children[0]
    if len(item.children) != 1:
        raise bad("invalid-payload" if item.children else "payload-required", "an item has one payload")
    named = name_of(item.attrs.get("id", ""), "an item's id")
    options = _preconditions(query, pubsub)
    payload = item.children[0].xml
    made = pubsubs(query).publish(owner, node, named, payload, options)
    query.services.features.fire(Published(query.to, node, query.services, query.session, items=((made.id, payload),)))
    return _answer(f"<publish node='{escape(node)}'><item id='{escape(made.id)}'/></publish>")


def _preconditions(query: Query, pubsub: Tree) -> Options:
    """Section 7.1.5."""
    options = only(pubsub, "publish-options")
    if options is None:
        return {}
    return config.read(form_of(options), ns.PUBSUB_PUBLISH_OPTIONS, query.services.settings.of(PubsubSettings))


def retract(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 7.2."""
    own_only(query)
    node, ids, notify = node_of(action), item_ids(action), is_true(action.attrs.get("notify"))
    if len(ids) != 1:
        raise bad("item-required", "one item is retracted at a time")
    pubsubs(query).retract(str(query.to), node, ids[0], notify=notify)
    query.services.features.fire(Published(query.to, node, query.services, query.session, retracted=(ids[0],)))
    return b""


def create(query: Query, pubsub: Tree, action: Tree) -> bytes:
    """Sections 8.1.2 and 8.1.3; without a node's name it gets one (8.1.1, instant nodes)."""
    own_only(query)
    asked = optional_node(action)
    node = asked or secrets.token_hex(16)
    options: Options = {}
    configure = only(pubsub, "configure")
    if configure is not None:
        if configure.attrs.get("node"):
            raise StanzaError(StanzaCondition.BAD_REQUEST, "the node is named where it is created")
        if configure.children:
            options = config.read(form_of(configure), config.NODE_CONFIG, query.services.settings.of(PubsubSettings))
    pubsubs(query).create(str(query.to), node, options)
    return b"" if asked else _answer(f"<create node='{escape(node)}'/>")


def subscribe(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 6.1. Again is no error: the subscription is as it was (6.1.6)."""
    jid = own_jid(query, action, StanzaCondition.BAD_REQUEST)
    node = node_of(action)
    pubsubs(query).subscribe(str(query.to), str(query.asker), node, str(jid))
    return _answer(_subscription(node, str(jid), "subscribed"))


def unsubscribe(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 6.2."""
    node = node_of(action)
    jid = own_jid(query, action, StanzaCondition.FORBIDDEN)
    pubsubs(query).unsubscribe(str(query.to), str(query.asker), node, str(jid))
    return _answer(_subscription(node, str(jid), "none"))


def _subscription(node: str, jid: str, state: str) -> str:
    return f"<subscription node='{escape(node)}' jid='{escape(jid)}' subscription='{state}'/>"


def subscriptions(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 5.6: the asker's own."""
    node = optional_node(action)
    found = pubsubs(query).subscriptions(str(query.to), str(query.asker), node)
    listed = "".join(_subscription(name, jid, "subscribed") for name, jid in found)
    return _answer(f"<subscriptions{_node(node)}>{listed}</subscriptions>")


def affiliations(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 5.7: the asker's own."""
    node = optional_node(action)
    found = pubsubs(query).affiliations(str(query.to), str(query.asker), node)
    listed = "".join(
        f"<affiliation node='{escape(name)}' affiliation='{affiliation}'/>" for name, _, affiliation in found
    )
    return _answer(f"<affiliations{_node(node)}>{listed}</affiliations>")


def _node(node: str) -> str:
    return f" node='{escape(node)}'" if node else ""


def _no_options(query: Query, _: Tree, __: Tree) -> bytes:
    """Sections 6.3 and 6.4: subscriptions have nothing to configure here."""
    own_only(query)
    raise unsupported("subscription-options")


GETS: Final[dict[str, Action]] = {
    "items": items,
    "subscriptions": subscriptions,
    "affiliations": affiliations,
    "options": _no_options,
    "default": _no_options,
}

SETS: Final[dict[str, Action]] = {
    "publish": publish,
    "retract": retract,
    "create": create,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
}

get = partial(serve, actions=GETS, companions=frozenset({(ns.RSM, "set")}))
put = partial(serve, actions=SETS, companions=frozenset({(ns.PUBSUB, "publish-options"), (ns.PUBSUB, "configure")}))
