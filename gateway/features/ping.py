"""XEP-0199: XMPP Ping, version 2.0.1. Answers a client's ping, to the server and to its own account."""

from __future__ import annotations

from gateway.hooks import Feature, Query, Xep
from gateway.xmpp import ns


def answer(query: Query) -> None:
    """XEP-0199 section 4.2: an empty result."""
    query.reply(b"")


FEATURE = Feature(
    name="ping",
    xep=Xep(199, "2.0.1"),
    disco=(ns.PING,),
    account_disco=(ns.PING,),
    iq_get={(ns.PING, "ping"): answer},
)
