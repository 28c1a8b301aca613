"""XEP-0060 section 16.4.4, pubsub#purge_offline: items that last no longer than their owner is online."""

from __future__ import annotations

from gateway.hooks import PresenceChanged
from gateway.mailbox.interests import Interests


def note(event: PresenceChanged) -> None:
    """The mailbox looks whether the session was the first, or the last, of its account. Sessions that end without a
    word are found when the next one comes.
    """
    if (event.former is None) != (event.priority is None):
        Interests.of(event.services).gone(event.session.jid, event.session.grip.sid)
