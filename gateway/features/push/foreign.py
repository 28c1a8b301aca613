"""XEP-0357: somebody else's app server, to which this server publishes."""

from __future__ import annotations

import msgspec

from gateway.features.push.asked import Asked
from gateway.hooks import Services
from gateway.mailbox.pushes import Registration
from gateway.sections import ComponentsSettings
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID

COMPONENTS = "components"
"""what `[features] off` calls them"""


def is_within_reach(service: JID, services: Services) -> bool:
    """Whether anything can be published there from here: external components (XEP-0114) alone."""
    return COMPONENTS in services.features.names and service.domain in services.settings.of(ComponentsSettings).domains


def described(asked: Asked, registration: Registration) -> Registration:
    """The registration, with what its app server wants to see with each notification. Raises StanzaError."""
    if not is_within_reach(asked.service, asked.query.services):
        raise StanzaError(
            StanzaCondition.REMOTE_SERVER_NOT_FOUND,
            f"{asked.service.domain} cannot be reached from here: this server has no connections to other servers",
        )
    if not asked.node:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the attribute node names where the app server wants it")
    # The node stands for the token: it is what a dead registration is told from its successor by.
    return msgspec.structs.replace(registration, form=asked.form(), token=asked.node)
