"""XEP-0030: Service Discovery, version 2.5. What the server, its hosts and accounts can do, as the features declare it;
with nodes and extended information (XEP-0128).
"""

from __future__ import annotations

from gateway import discovery
from gateway.hooks import DiscoItems, Feature, Query, Xep
from gateway.mailbox.sight import Sight
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID


def _node(query: Query, namespace: str) -> str:
    payload = next(iter(query.iq.payload().values()))[f"{namespace}|query"]
    return str(payload.get("@node", "")) if isinstance(payload, dict) else ""


def _resources(query: Query) -> list[str] | None:
    """The account's available resources, as far as the asker may see it (XEP-0030 section 8); None: not at all."""
    return Sight(query.services.mailbox).resources(user=str(query.to), asker=str(query.asker))


def info(query: Query) -> None:
    """XEP-0030 section 3. Strangers cannot tell an account from one that does not exist (section 8, rule 1)."""
    node = _node(query, ns.DISCO_INFO)
    if query.to.local and not query.is_own and _resources(query) is None:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    event = discovery.info(query.services, to=query.to, asker=query.asker, node=node)
    if not event.is_known:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "there is no such node")
    query.reply(discovery.to_xml(event))


def items(query: Query) -> None:
    """XEP-0030 section 4. Of an account, its available resources too; a stranger gets the same empty list as for an
    account that does not exist, whatever the node (section 8, rule 2).
    """
    node = _node(query, ns.DISCO_ITEMS)
    event = DiscoItems(to=query.to, services=query.services, asker=query.asker, node=node, is_known=not node)
    resources = _resources(query) if query.to.local else []
    if resources is not None:
        if not node:
            event.items.extend((str(JID(query.to.local, query.to.domain, name)), "", "") for name in resources)
        query.services.features.fire(event)
        if not event.is_known:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "there is no such node")
    listed = "".join(_item(*item) for item in event.items)
    query.reply(f"<query xmlns='{ns.DISCO_ITEMS}'{discovery.node_attribute(node)}>{listed}</query>".encode())


def _item(jid: str, name: str, node: str) -> str:
    named = f" name='{escape(name)}'" if name else ""
    return f"<item jid='{escape(jid)}'{named}{discovery.node_attribute(node)}/>"


FEATURE = Feature(
    name="disco",
    xep=Xep(30, "2.5.0"),
    disco=(ns.DISCO_INFO, ns.DISCO_ITEMS),
    account_disco=(ns.DISCO_INFO, ns.DISCO_ITEMS),
    iq_get={(ns.DISCO_INFO, "query"): info, (ns.DISCO_ITEMS, "query"): items},
    open=frozenset({("get", ns.DISCO_INFO, "query"), ("get", ns.DISCO_ITEMS, "query")}),
)
