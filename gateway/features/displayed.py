"""XEP-0490: Message Displayed Synchronization, version 1.0.1. Its node, for the account's own devices alone; and server
assist: what a message to a chat says of how far that chat was displayed is taken out of the message and published.
"""

from __future__ import annotations

from typing import Final

from gateway.hooks import Feature, On, Phase, Published, StanzaReceived, Xep
from gateway.mailbox.errors import StoreError
from gateway.mailbox.pubsub_model import Options, PubsubRefusal
from gateway.mailbox.pubsubs import Pubsubs
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.inner import inner, with_children
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.tree import read

log = get_logger(__name__)

_DISPLAYED: Final = (ns.DISPLAYED, "displayed")

ITEMS: Final[Options] = {
    "access_model": "whitelist",
    "persist_items": True,
    "max_items": 0,
    "send_last_published_item": "never",
}
"""section 4.2: of a node that is made for it"""


def assist(event: StanzaReceived) -> None:
    """Section 4.5: before anybody sees the message, or it is archived, the element goes to the node."""
    element = event.element
    if element.name != "message" or not element.has(*_DISPLAYED):
        return
    try:
        kept = [child for child in inner(element) if (child.ns, child.name) != _DISPLAYED]
        said = read(element, 1).named(*_DISPLAYED)[-1].xml
    except NotAnElement as error:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the message has text between its children") from error
    event.element = with_children(element, kept)
    if element.attrs.get("type") != "error":
        _publish(event, element.attrs.get("to") or str(event.session.jid.bare), said)


def _publish(event: StanzaReceived, chat: str, said: bytes) -> None:
    """The address as it is written is the item's id (section 4.5.2). The message goes on, whatever comes of it."""
    owner, pubsubs = event.session.jid.bare, Pubsubs.of(event.services)
    try:
        try:
            pubsubs.publish(str(owner), ns.DISPLAYED, chat, said, ITEMS)
        except PubsubRefusal as refusal:
            if refusal.why != "precondition-not-met":
                raise
            pubsubs.publish(str(owner), ns.DISPLAYED, chat, said)  # a node that a client has made otherwise
    except (PubsubRefusal, StoreError) as why:
        log.info("displayed_not_published", why=type(why).__name__)
        return
    event.services.features.fire(Published(owner, ns.DISPLAYED, event.services, event.session, items=((chat, said),)))


FEATURE = Feature(
    name="displayed",
    xep=Xep(490, "1.0.1"),
    account_disco=(ns.DISPLAYED_ASSIST,),
    hooks=(On(StanzaReceived, assist, Phase.REWRITE, frozenset({ns.DISPLAYED})),),
    requires=("pep",),
)
