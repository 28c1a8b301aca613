"""XEP-0115: Entity Capabilities, version 1.6. The server's own: announced in the stream features, so that a client that
knows this version of the server need not ask.
"""

from __future__ import annotations

from gateway import discovery
from gateway.hooks import DiscoInfo, Feature, On, Phase, Services, StreamFeatures, Xep
from gateway.sections import ServerSettings
from gateway.xmpp import caps, ns
from gateway.xmpp.jid import JID

NODE = "urn:x-wakegate:server"
"""names the software (XEP-0115 section 4)"""


def _version(services: Services, domain: JID) -> tuple[DiscoInfo, str]:
    event = discovery.info(services, to=domain, asker=domain)
    return event, caps.verification(event.identities, event.features, event.forms)


def announce(event: StreamFeatures) -> None:
    """XEP-0115 section 6.3. All domains answer alike, so that the first one speaks for them."""
    _, ver = _version(event.services, JID("", event.services.settings.of(ServerSettings).domains[0]))
    event.offered.append(f"<c xmlns='{ns.CAPS}' hash='sha-1' node='{NODE}' ver='{ver}'/>")


def describe(event: DiscoInfo) -> None:
    """The announced version is a node with the same answer as without one (XEP-0115 section 6.2)."""
    if event.is_account or event.is_host or not event.node.startswith(f"{NODE}#"):
        return
    answer, ver = _version(event.services, event.to)
    if event.node == f"{NODE}#{ver}":
        event.is_known = True
        event.identities.extend(answer.identities)
        event.features.update(answer.features)
        event.forms.extend(answer.forms)


FEATURE = Feature(
    name="server-caps",
    xep=Xep(115, "1.6.0"),
    disco=(ns.CAPS,),
    hooks=(On(StreamFeatures, announce), On(DiscoInfo, describe, Phase.OBSERVE)),
    requires=("disco",),
)
