"""XEP-0060 section 8: what a node's owner asks for, in the namespace `pubsub#owner`."""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

from gateway.features.pep import config
from gateway.features.pep.errors import error, unsupported
from gateway.features.pep.reading import form_of, node_of
from gateway.features.pep.serving import Action, own_only, pubsubs, serve
from gateway.hooks import Query
from gateway.mailbox.pubsub_model import DEFAULTS, PubsubSettings
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.tree import Tree

MOST_CHANGES: Final = 500
"""affiliations in one request"""

AFFILIATIONS: Final = ("member", "outcast", "none")


def _answer(inner: bytes) -> bytes:
    return b"<pubsub xmlns='%b'>%b</pubsub>" % (ns.PUBSUB_OWNER.encode(), inner)


def show_config(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 8.2.1."""
    own_only(query)
    node = node_of(action)
    found, _count = pubsubs(query).config(str(query.to), str(query.asker), node)
    return _answer(b"<configure node='%b'>%b</configure>" % (escape(node).encode(), config.layout(found)))


def show_default(query: Query, _: Tree, __: Tree) -> bytes:
    """Section 8.3."""
    own_only(query)
    return _answer(b"<default>%b</default>" % config.layout(DEFAULTS))


def configure(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 8.2.4; a form of type cancel changes nothing (8.2.5)."""
    own_only(query)
    node, owner = node_of(action), str(query.to)
    form = form_of(action)
    if form.type == "cancel":
        return b""
    options = config.read(form, config.NODE_CONFIG, query.services.settings.of(PubsubSettings))
    former, _count = pubsubs(query).config(owner, str(query.asker), node)
    new = config.changed(former, options)
    told = config.layout(new, type_="result") if new.deliver_payloads else b""
    inner = b"<configuration node='%b'>%b</configuration>" % (escape(node).encode(), told)
    pubsubs(query).configure(owner, node, options, inner)
    return b""


def empty(query: Query, _: Tree, action: Tree, *, how: Literal["purge", "delete"]) -> bytes:
    """Sections 8.4 and 8.5. A deleted node redirects nobody."""
    own_only(query)
    pubsubs(query).empty(str(query.to), node_of(action), how)
    return b""


def show_affiliations(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 8.9.1."""
    own_only(query)
    node = node_of(action)
    found = pubsubs(query).affiliations(str(query.to), str(query.asker), node, of_node=True)
    listed = "".join(f"<affiliation jid='{escape(jid)}' affiliation='{what}'/>" for _, jid, what in found)
    return _answer(f"<affiliations node='{escape(node)}'>{listed}</affiliations>".encode())


def affiliate(query: Query, _: Tree, action: Tree) -> bytes:
    """Section 8.9.2: all changes or, with an error, none."""
    own_only(query)
    node = node_of(action)
    if len(action.children) > MOST_CHANGES:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"at most {MOST_CHANGES} changes at a time")
    changes = dict(_change(query, child) for child in action.children)
    pubsubs(query).affiliate(str(query.to), node, changes)
    return b""


def _change(query: Query, child: Tree) -> tuple[str, str]:
    if (child.ns, child.name) != (ns.PUBSUB_OWNER, "affiliation"):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "affiliations have the element affiliation")
    try:
        jid = JID.parse(child.attrs.get("jid", "")).bare
    except JIDError as fault:
        raise error(StanzaCondition.BAD_REQUEST, "invalid-jid", str(fault)) from fault
    what = child.attrs.get("affiliation", "")
    if jid == query.to:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "the account owns its nodes")
    if what in ("owner", "publisher", "publish-only"):
        raise unsupported(f"{what}-affiliation", "the account alone owns its nodes and publishes there")
    if what not in AFFILIATIONS:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"an affiliation is one of {', '.join(AFFILIATIONS)}")
    return str(jid), what


def _no_subscriptions(query: Query, _: Tree, __: Tree) -> bytes:
    """Section 8.8: whom an owner does not want to see, the whitelist keeps out."""
    own_only(query)
    raise unsupported("manage-subscriptions")


GETS: Final[dict[str, Action]] = {
    "configure": show_config,
    "default": show_default,
    "affiliations": show_affiliations,
    "subscriptions": _no_subscriptions,
}

SETS: Final[dict[str, Action]] = {
    "configure": configure,
    "delete": partial(empty, how="delete"),
    "purge": partial(empty, how="purge"),
    "affiliations": affiliate,
    "subscriptions": _no_subscriptions,
}

get = partial(serve, actions=GETS, companions=frozenset())
put = partial(serve, actions=SETS, companions=frozenset())
