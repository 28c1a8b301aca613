"""XEP-0353: Jingle Message Initiation, version 0.8.0. A `propose` wakes phones as a call does; those that rang are told
when the caller takes it back, or another device of the account answers or rejects it. The calls themselves are the
clients' matter.

What wakes says the push feature; the mailbox remembers calls and devices (gateway/mailbox/lua/72_calls.lua).
"""

from __future__ import annotations

from typing import Final

from gateway.hooks import Feature, On, StanzaTraits, Xep
from gateway.xmpp import ns

ENDS: Final = ("retract", "reject", "proceed", "accept", "finish")
"""`accept` is how versions before 0.5 tell one's own devices that one of them has answered"""


def traits(event: StanzaTraits) -> None:
    """Which call, and whether its sender may end it, the mailbox finds out."""
    stanza = event.stanza
    event.ends_call = stanza.attrs.get("type") != "error" and any(stanza.has(ns.CALLS, name) for name in ENDS)


FEATURE = Feature(name="calls", xep=Xep(353, "0.8.0"), hooks=(On(StanzaTraits, traits),))
