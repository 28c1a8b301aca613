"""XEP-0012: Last Activity, version 2.0. How long this process has been up, and since when an account has not been
available.

Contacts that get the account's presence may ask, nobody else: for strangers the account does not exist.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from gateway.hooks import Feature, On, Phase, Query, StanzaReceived, StreamFeatures, Xep
from gateway.mailbox.sight import Absence, Sight
from gateway.sections import ServerSettings
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.reading import child_text
from gateway.xmpp.stanza import peek


@dataclass(slots=True)
class Uptime:
    """When this process began to serve, in seconds of the monotonic clock."""

    began: float = 0.0

    def begin(self, _event: StreamFeatures) -> None:
        """The process begins to serve."""
        self.began = time.monotonic()

    def answer(self, query: Query) -> None:
        """XEP-0012 sections 3 and 5. A full JID's clients answer for themselves."""
        if not query.to.local:
            query.reply(_answer(int(time.monotonic() - self.began)))
            return
        absence = Sight(query.services.mailbox).absence(user=str(query.to), asker=str(query.asker))
        if absence is None:
            raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
        if absence.since_ms is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "was never available")
        query.reply(_answer(absence.since_ms // 1000, _status(absence)))


def guard(event: StanzaReceived) -> None:
    """XEP-0012 section 4: a request for a device's own answer reaches it only from those who may see the account."""
    element, to = event.element, event.to
    if (
        element.name != "iq"
        or (ns.LAST_ACTIVITY, "query") not in element.children
        or element.attrs.get("type") != "get"
    ):
        return
    if to is None or not to.local or not to.resource:
        return
    if to.domain not in event.services.settings.of(ServerSettings).domains:
        return
    if Sight(event.services.mailbox).resources(user=str(to.bare), asker=str(event.session.jid)) is None:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)


def _status(absence: Absence) -> str:
    """What the client said last; "" when it just went."""
    return child_text(peek(absence.presence), (ns.CLIENT, "status")) if absence.presence else ""


def _answer(seconds: int, status: str = "") -> bytes:
    return f"<query xmlns='{ns.LAST_ACTIVITY}' seconds='{seconds}'>{escape(status)}</query>".encode()


_UPTIME = Uptime()

FEATURE = Feature(
    name="last-activity",
    xep=Xep(12, "2.0.0"),
    disco=(ns.LAST_ACTIVITY,),
    account_disco=(ns.LAST_ACTIVITY,),
    iq_get={(ns.LAST_ACTIVITY, "query"): _UPTIME.answer},
    open=frozenset({("get", ns.LAST_ACTIVITY, "query")}),
    hooks=(On(StreamFeatures, _UPTIME.begin), On(StanzaReceived, guard, Phase.GUARD, frozenset())),
)
