"""XEP-0030: what is answered to disco#info about this server, one of its hosts or an account. The features that answer
requests and those that announce the answer (XEP-0115) must say the same, so both take it from here.
"""

from __future__ import annotations

from gateway.hooks import DiscoInfo, Services
from gateway.sections import ServerSettings
from gateway.xmpp import ns
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID


def info(services: Services, *, to: JID, asker: JID, node: str = "") -> DiscoInfo:
    """Ask all features. With a `node`, only those that know it speak; `is_known` says whether one did."""
    is_host = not to.local and to.domain not in services.settings.of(ServerSettings).domains
    event = DiscoInfo(
        to=to, is_account=bool(to.local), is_host=is_host, services=services, asker=asker, node=node, is_known=not node
    )
    if not node:
        if event.is_account:
            event.identities.append(("account", "registered", ""))
        elif not is_host:
            event.identities.append(("server", "im", "Wakegate"))
        event.features.update((ns.DISCO_INFO, ns.DISCO_ITEMS))
        for feature in services.features.all if not is_host else ():
            event.features.update(feature.account_disco if event.is_account else feature.disco)
    return services.features.fire(event)


def to_xml(event: DiscoInfo) -> bytes:
    """The `<query/>` of the answer; the node is mirrored (XEP-0030 section 3.2)."""
    identities = "".join(
        f"<identity category='{escape(category)}' type='{escape(type_)}'"
        + (f" name='{escape(name)}'/>" if name else "/>")
        for category, type_, name in event.identities
    )
    features = "".join(f"<feature var='{escape(name)}'/>" for name in sorted(event.features))
    begin = f"<query xmlns='{ns.DISCO_INFO}'{node_attribute(event.node)}>{identities}{features}"
    return begin.encode() + b"".join(event.forms) + b"</query>"


def node_attribute(node: str) -> str:
    """` node='…'`, or nothing without one."""
    return f" node='{escape(node)}'" if node else ""
