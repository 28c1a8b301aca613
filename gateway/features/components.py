"""XEP-0114: Jabber Component Protocol, version 1.6. External programs answer for domains of their own.

Here they are listed among the server's items; their connections are `session/component.py`, and what is addressed to
them the router delivers like any other stanza.
"""

from __future__ import annotations

from gateway.hooks import DiscoItems, Feature, On, Xep
from gateway.sections import ComponentsSettings, ServerSettings


def list_components(event: DiscoItems) -> None:
    """A component is an item of the domain below which it is; one that is below none, of all of them."""
    if event.to.local or event.node:
        return
    server = event.services.settings.of(ServerSettings).domains
    if event.to.domain not in server:
        return
    for domain, component in event.services.settings.of(ComponentsSettings).domains.items():
        above = [own for own in server if domain.endswith(f".{own}")]
        if event.to.domain in (above or server):
            event.items.append((domain, component.name, ""))


FEATURE = Feature(name="components", xep=Xep(114, "1.6"), hooks=(On(DiscoItems, list_components),))
