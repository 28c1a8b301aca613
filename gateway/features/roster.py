"""RFC 6121 section 2: the roster. Kept for nobody yet: every roster is empty, and says so to clients
that wait for it.
"""

from __future__ import annotations

from gateway.hooks import Feature, Query
from gateway.xmpp import ns


def answer(query: Query) -> None:
    """RFC 6121 section 2.1.4: the roster of an account without contacts."""
    query.reply(f"<query xmlns='{ns.ROSTER}'/>".encode())


FEATURE = Feature(name="roster", iq_get={(ns.ROSTER, "query"): answer})
