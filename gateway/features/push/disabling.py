"""XEP-0357 section 8: an app server does not want to hear of an account any more, and says so to the account."""

from __future__ import annotations

from gateway.features.push.foreign import is_within_reach
from gateway.hooks import StanzaReceived
from gateway.mailbox.errors import StoreError
from gateway.telemetry import get_logger
from gateway.xmpp import ns, tree
from gateway.xmpp.payload import NotAnElement

log = get_logger(__name__)


def heard(event: StanzaReceived) -> None:
    """A node at which the account may not publish any more is no registration of it. Nobody but the service itself can
    say so; the message goes on to the account's clients.
    """
    element, to, service = event.element, event.to, event.session.jid
    if element.name != "message" or to is None or not to.local or not element.has(ns.PUBSUB, "pubsub"):
        return
    if element.attrs.get("type") == "error" or not is_within_reach(service, event.services):
        return
    try:
        message = tree.read(element, 2)
    except NotAnElement:
        return
    user = str(to.bare)
    for pubsub in message.named(ns.PUBSUB, "pubsub"):
        node = pubsub.attrs.get("node")
        lost = [
            one
            for one in pubsub.named(ns.PUBSUB, "affiliation")
            if one.attrs.get("jid") == user and one.attrs.get("affiliation") == "none"
        ]
        if node and lost:
            event.services.mailbox.unregister(user=user, service=str(service), node=node, done=_done)


def _done(reply: object) -> None:
    if isinstance(reply, StoreError):
        log.info("push_not_disabled", error=str(reply))
