"""XEP-0359: Unique and Stable Stanza IDs, version 0.7.0. Ids are given by the mailbox with the archive; forged ones go.

The id is the one under which the recipient's archive holds the message, so a client that has it live, late, or as a
copy knows it again.
"""

from __future__ import annotations

from gateway.hooks import Feature, On, Phase, StanzaReceived, Xep
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.inner import inner, with_children
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.stanza import Element, NotAnElement


def strip(event: StanzaReceived) -> None:
    """Section 3, rule 2: an id in the name of the account that will give one, or has given one, is no id of ours."""
    if event.element.name != "message" or not event.element.has(ns.STANZA_ID, "stanza-id"):
        return
    sender = event.session.jid.bare
    ours = {sender, (event.to or sender).bare}
    try:
        kept = [child for child in inner(event.element) if not _is_forged(child, ours)]
    except NotAnElement as error:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the message has text between its children") from error
    event.element = with_children(event.element, kept)


def _is_forged(child: Element, ours: set[JID]) -> bool:
    if (child.ns, child.name) != (ns.STANZA_ID, "stanza-id"):
        return False
    try:
        return JID.parse(child.attrs.get("by", "")) in ours
    except JIDError:
        return True


FEATURE = Feature(
    name="stanza-ids",
    xep=Xep(359, "0.7.0"),
    disco=(ns.STANZA_ID,),
    account_disco=(ns.STANZA_ID,),
    hooks=(On(StanzaReceived, strip, Phase.REWRITE, frozenset({ns.STANZA_ID})),),
)
