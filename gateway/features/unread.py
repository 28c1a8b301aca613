"""XEP-0333: Displayed Markers, version 1.0.0. A marker that a device sends says that its user has seen a conversation:
it is taken off the badge of the account's other devices, and a push that waits for it is cancelled. So is a chat that
is published as displayed (XEP-0490).

The markers themselves are between clients, and clients say whether they support them.
"""

from __future__ import annotations

from typing import Final

from gateway.hooks import Feature, On, Phase, Published, StanzaTraits, Xep
from gateway.mailbox.errors import StoreError
from gateway.mailbox.unread import Unread
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.tree import parse

log = get_logger(__name__)

NAME: Final = "unread"


def traits(event: StanzaTraits) -> None:
    """A correction (XEP-0308) is no message more, nor is what a room shows of its history to who comes in."""
    stanza, type_ = event.stanza, event.stanza.attrs.get("type")
    event.displayed = stanza.has(ns.MARKERS, "displayed") and type_ != "error"
    is_history = type_ == "groupchat" and stanza.has(ns.DELAY, "delay")
    event.uncounted = is_history or stanza.has(ns.CORRECTION, "replace")


def count_nothing(event: StanzaTraits) -> None:
    """While this is off: nothing would ever be found read."""
    event.uncounted = True


def published(event: Published) -> None:
    """XEP-0490 section 4.2: the item's id is the chat. In a chat that is no room the stanza-id is this account's own,
    and what came after that message is still unread.
    """
    if event.node != ns.DISPLAYED or event.session.jid.bare != event.owner:
        return
    for chat, payload in event.items:
        try:
            conversation = JID.parse(chat).bare
            upto = _own_id(payload, str(event.owner))
        except (JIDError, NotAnElement):
            continue  # ids are the client's affair (section 6.2); this one means nobody
        try:
            Unread(event.services.mailbox.journal).displayed(str(event.owner), str(conversation), upto)
        except StoreError as error:
            log.warning("displayed_not_counted", error=str(error))


def _own_id(payload: bytes, owner: str) -> str:
    """The stanza-id in an item's payload, if this account gave it. Raises NotAnElement."""
    ids = parse(payload, 1).named(ns.STANZA_ID, "stanza-id")
    # COMPAT(slixmpp, 1.17): it does not say by whom
    return ids[0].attrs.get("id", "") if ids and ids[0].attrs.get("by", owner) == owner else ""


FEATURE = Feature(
    name=NAME,
    xep=Xep(333, "1.0.0"),
    hooks=(On(StanzaTraits, traits), On(Published, published, Phase.OBSERVE)),
    without=(On(StanzaTraits, count_nothing),),
)
