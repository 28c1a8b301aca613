"""XEP-0203: Delayed Delivery. When a message came, `<delay/>` says in this server's name (see `session/cursor.py`);
what senders say in that name is forged.
"""

from __future__ import annotations

from gateway.hooks import Feature, On, Phase, StanzaReceived
from gateway.sections import ServerSettings
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.inner import inner, with_children
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.stanza import Element, NotAnElement


def strip(event: StanzaReceived) -> None:
    """XEP-0203, Security Considerations: a delay in the name of the recipient's server is discarded. It would stand for
    the true one, and show a message among those of another time.
    """
    if event.element.name != "message" or not event.element.has(ns.DELAY, "delay"):
        return
    domains = event.services.settings.of(ServerSettings).domains
    try:
        kept = [child for child in inner(event.element) if not _is_forged(child, domains)]
    except NotAnElement as error:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the message has text between its children") from error
    event.element = with_children(event.element, kept)


def _is_forged(child: Element, domains: list[str]) -> bool:
    if (child.ns, child.name) != (ns.DELAY, "delay"):
        return False
    try:
        return "from" in child.attrs and str(JID.parse(child.attrs["from"])) in domains
    except JIDError:
        return False


FEATURE = Feature(name="delays", hooks=(On(StanzaReceived, strip, Phase.REWRITE, frozenset({ns.DELAY})),))
