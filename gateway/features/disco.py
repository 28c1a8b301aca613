"""XEP-0030: Service Discovery, version 2.5. Tells what the other features declare, about the server and about the
asker's account.
"""

from __future__ import annotations

from gateway.hooks import DiscoInfo, DiscoItems, Feature, Query, Xep
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape


def _refuse_node(query: Query, namespace: str) -> None:
    """XEP-0030 section 3.2: a node that nobody knows."""
    payload = next(iter(query.iq.payload().values()))
    node = payload[f"{namespace}|query"]
    if isinstance(node, dict) and node.get("@node"):
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)


def info(query: Query) -> None:
    """XEP-0030 section 3."""
    _refuse_node(query, ns.DISCO_INFO)
    host = not query.to.local and query.to.domain.split(".", 1)[0] in query.services.features.hosts
    event = DiscoInfo(
        to=query.to, is_account=bool(query.to.local), is_host=host, services=query.services, asker=query.asker
    )
    if event.is_account:
        event.identities.append(("account", "registered", ""))
    elif not host:
        event.identities.append(("server", "im", "Wakegate"))
    event.features.update((ns.DISCO_INFO, ns.DISCO_ITEMS))
    if not host:
        for feature in query.services.features.all:
            event.features.update(feature.account_disco if event.is_account else feature.disco)
    query.services.features.fire(event)
    identities = "".join(
        f"<identity category='{category}' type='{type_}'" + (f" name='{escape(name)}'/>" if name else "/>")
        for category, type_, name in event.identities
    )
    features = "".join(f"<feature var='{escape(name)}'/>" for name in sorted(event.features))
    query.reply(f"<query xmlns='{ns.DISCO_INFO}'>{identities}{features}</query>".encode())


def items(query: Query) -> None:
    """XEP-0030 section 4."""
    _refuse_node(query, ns.DISCO_ITEMS)
    event = query.services.features.fire(DiscoItems(to=query.to, services=query.services, asker=query.asker))
    listed = "".join(
        f"<item jid='{escape(jid)}' name='{escape(name)}'" + (f" node='{escape(node)}'/>" if node else "/>")
        for jid, name, node in event.items
    )
    query.reply(f"<query xmlns='{ns.DISCO_ITEMS}'>{listed}</query>".encode())


FEATURE = Feature(
    name="disco",
    xep=Xep(30, "2.5.0"),
    disco=(ns.DISCO_INFO, ns.DISCO_ITEMS),
    account_disco=(ns.DISCO_INFO, ns.DISCO_ITEMS),
    iq_get={(ns.DISCO_INFO, "query"): info, (ns.DISCO_ITEMS, "query"): items},
)
