"""XEP-0013: Flexible Offline Message Retrieval, version 1.3. A client looks at what waits for it before it fetches, and
says itself what may go.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from gateway.hooks import DiscoInfo, DiscoItems, Feature, On, Query, Xep
from gateway.mailbox.offline_store import OfflineStore, Waiting
from gateway.xmpp import forms, ns
from gateway.xmpp.delay import delay_child, has_delay_from
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.payload import several
from gateway.xmpp.stanza import NotAnElement, add_child
from gateway.xmpp.start_tag import attributes

NODE = ns.OFFLINE_RETRIEVAL

MOST_NODES = 1000
"""messages that one request may name"""

ACTIONS = {"get": "view", "set": "remove"}
COMMANDS = {"get": ("fetch",), "set": ("purge", "fetch")}
"""COMPAT(slixmpp, 1.17): it fetches with an iq of type set"""


def _is_ours(event: DiscoInfo | DiscoItems) -> bool:
    """Only one's own account has the node (section 5)."""
    return event.node == NODE and event.to == event.asker.bare


def _store(event: DiscoInfo | DiscoItems) -> OfflineStore:
    return OfflineStore(event.services.mailbox, str(event.asker.bare), event.asker.resource)


def describe(event: DiscoInfo) -> None:
    """Section 2.2: how many messages wait."""
    if _is_ours(event):
        event.is_known = True
        event.identities.append(("automation", "message-list", ""))
        event.features.add(NODE)
        count = _store(event).count()
        event.forms.append(
            forms.write(forms.Form("result", {forms.FORM_TYPE: [NODE], "number_of_messages": [str(count)]}))
        )


def list_headers(event: DiscoItems) -> None:
    """Section 2.3: who wrote each message, and its node."""
    if _is_ours(event):
        event.is_known = True
        account = str(event.to)
        for node, tag in _store(event).headers():
            event.items.append((account, attributes(tag).get("from", ""), node))


def retrieve(query: Query) -> None:
    """Sections 2.4 to 2.7: messages and then the result, or the end of what is named."""
    if not query.is_own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    content = next(iter(query.iq.payload().values()))[f"{NODE}|offline"]
    store = OfflineStore(query.services.mailbox, str(query.to), query.asker.resource)
    type_ = query.iq.attrs["type"]
    match _command(content, type_):
        case "fetch":
            _show(query, store, store.everything())
        case "purge":
            store.purge()
        case _:
            nodes = _nodes(content, ACTIONS[type_])
            if type_ == "get":
                _show(query, store, store.view(nodes))
            elif not store.remove(nodes):
                raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
    query.reply(b"")


def _show(query: Query, store: OfflineStore, found: Iterable[Waiting] | None) -> None:
    """Copies of messages into the asker's queue; they stay where they are."""
    if found is None:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
    shown = (_with_node(waiting, query.to.domain) for waiting in found)
    for placed, stanza in store.show(query.session.grip, shown):
        if placed is None:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "acknowledge what you have, then ask for less")
        query.services.announce((placed,), stanza)


def _command(content: Any, type_: str) -> str:
    """The one command in a request, or "" if it names messages. Raises StanzaError(bad-request)."""
    inside = [key for key in content if not key.startswith("@")] if isinstance(content, dict) else []
    if inside == [f"{NODE}|item"]:
        return ""
    for command in COMMANDS[type_]:
        if inside == [f"{NODE}|{command}"] and len(several(content, inside[0])) == 1:
            return command
    raise StanzaError(StanzaCondition.BAD_REQUEST, f"items to {ACTIONS[type_]}, or one of {', '.join(COMMANDS[type_])}")


def _nodes(content: Any, action: str) -> list[str]:
    nodes = [_node(item, action) for item in several(content, f"{NODE}|item")]
    if len(nodes) > MOST_NODES:
        raise StanzaError(StanzaCondition.POLICY_VIOLATION, f"at most {MOST_NODES} messages at once")
    return nodes


def _node(item: Any, action: str) -> str:
    if not isinstance(item, dict) or item.get("@action") != action or not item.get("@node"):
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"every item has a node, and the action {action}")
    return str(item["@node"])


def _with_node(waiting: Waiting, domain: str) -> bytes:
    """Section 2.4: the message names its node, and tells when it came (XEP-0203)."""
    stanza = waiting.entry.stanza
    with suppress(NotAnElement):  # too large to look into: told once more than needed
        if not has_delay_from(stanza, domain):
            stanza = add_child(stanza, delay_child(domain, waiting.entry.stamp_ms))
    return add_child(stanza, f"<offline xmlns='{NODE}'><item node='{escape(waiting.node)}'/></offline>".encode())


FEATURE = Feature(
    name="offline-retrieval",
    xep=Xep(13, "1.3"),
    disco=(NODE,),
    account_disco=(NODE,),
    iq_get={(NODE, "offline"): retrieve},
    iq_set={(NODE, "offline"): retrieve},
    hooks=(On(DiscoInfo, describe), On(DiscoItems, list_headers)),
    requires=("disco", "offline"),
)
