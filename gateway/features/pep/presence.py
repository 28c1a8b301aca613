"""What presence and subscriptions mean for nodes: XEP-0163 section 4.3.4, XEP-0060 section 16.4.4 (purge_offline)."""

from __future__ import annotations

from gateway.hooks import PresenceChanged, SubscriptionSent
from gateway.mailbox.interests import Interests


def note(event: PresenceChanged) -> None:
    """Items that last no longer than their owner is online: the mailbox looks whether the session was the first, or the
    last, of its account. Sessions that end without a word are found when the next one comes.
    """
    if (event.former is None) != (event.priority is None):
        Interests.of(event.services).gone(event.session.jid, event.session.grip.sid)


def acquaint(event: SubscriptionSent) -> None:
    """Whoever may see the account's presence from now on gets the last items that they want."""
    if event.type == "subscribed":
        Interests.of(event.services).acquaint(str(event.owner), str(event.contact))
