"""XEP-0357: Push Notifications, version 0.4.1: registrations, and which messages are worth waking a phone for.

The push service is this server's own, `push.<domain>`, where a client registers the token that it has from its vendor;
or it is somebody else's app server, to which this server publishes. When a device is to be woken the mailbox knows (its
Lua library raises events), and the push worker sends.
"""

from __future__ import annotations

from gateway.features.push import tigase
from gateway.features.push.answers import answered
from gateway.features.push.disabling import heard
from gateway.features.push.own import HOST
from gateway.features.push.requests import disable, enable
from gateway.features.push.traits import traits
from gateway.features.push.vapid import describe_keys
from gateway.hooks import DiscoInfo, DiscoItems, Feature, On, Phase, StanzaReceived, StanzaTraits, Xep
from gateway.mailbox.push_answers import PREFIX
from gateway.xmpp import ns


def describe_host(event: DiscoInfo) -> None:
    """XEP-0357 section 4.2: the push service's identity."""
    if event.is_host and event.to.domain.startswith(f"{HOST}."):
        event.identities.append(("pubsub", "push", "Wakegate push service"))
        event.features.add(ns.PUSH)


def list_host(event: DiscoItems) -> None:
    """Clients find the push service among the server's items."""
    if not event.node and not event.to.local and not event.to.domain.startswith(f"{HOST}."):
        event.items.append((f"{HOST}.{event.to.domain}", "Push service", ""))


FEATURE = Feature(
    name="push",
    xep=Xep(357, "0.4.1"),
    account_disco=(ns.PUSH, *tigase.FEATURES),
    iq_set={(ns.PUSH, "enable"): enable, (ns.PUSH, "disable"): disable},
    replies={PREFIX: answered},
    hooks=(
        On(StanzaTraits, traits),
        On(StanzaReceived, heard, Phase.OBSERVE, having=frozenset({ns.PUBSUB})),
        On(DiscoInfo, describe_host),
        On(DiscoInfo, describe_keys),
        On(DiscoItems, list_host),
    ),
    hosts=(HOST,),
)
