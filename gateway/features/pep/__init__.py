"""XEP-0163: Personal Eventing Protocol, version 1.2.2. Nodes on every account: publishing with options, items, access
models, whitelists, subscriptions, notifications by `+notify`. Private storage (XEP-0223), bookmarks (XEP-0402),
displayed synchronisation (XEP-0490), avatars (XEP-0084) and OMEMO's nodes (XEP-0384) are nodes like any other.
"""

from __future__ import annotations

from typing import Final

from gateway.features.pep import discovery, owner, requests
from gateway.features.pep.presence import acquaint, note
from gateway.hooks import DiscoInfo, DiscoItems, Feature, On, Phase, PresenceChanged, SubscriptionSent, Xep
from gateway.xmpp import ns

WORKS: Final = (
    "access-presence",
    "auto-create",
    "auto-subscribe",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "filtered-notifications",
    "instant-nodes",
    "item-ids",
    "last-published",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "presence-notifications",
    "presence-subscribe",
    "publish",
    "publish-options",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
)
"""XEP-0060 section 10: the features that are there"""

FEATURE = Feature(
    name="pep",
    xep=Xep(163, "1.2.2"),
    account_disco=(ns.PUBSUB, *(f"{ns.PUBSUB}#{name}" for name in WORKS)),
    iq_get={(ns.PUBSUB, "pubsub"): requests.get, (ns.PUBSUB_OWNER, "pubsub"): owner.get},
    iq_set={(ns.PUBSUB, "pubsub"): requests.put, (ns.PUBSUB_OWNER, "pubsub"): owner.put},
    open=frozenset(
        (type_, namespace, "pubsub") for type_ in ("get", "set") for namespace in (ns.PUBSUB, ns.PUBSUB_OWNER)
    ),
    hooks=(
        On(DiscoInfo, discovery.describe),
        On(DiscoItems, discovery.listing),
        On(PresenceChanged, note, Phase.OBSERVE),
        On(SubscriptionSent, acquaint, Phase.OBSERVE),
    ),
)
