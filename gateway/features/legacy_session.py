"""RFC 3921 section 3: sessions. Needless since RFC 6121, but older clients ask for one after binding and wait for the
answer.
"""

from __future__ import annotations

from gateway.hooks import Feature, Query
from gateway.xmpp import ns


def answer(query: Query) -> None:
    """Everybody who may ask has a session already."""
    query.reply(b"")


FEATURE = Feature(
    name="legacy-session",
    iq_set={(ns.SESSION, "session"): answer},
    stream_features=f"<session xmlns='{ns.SESSION}'><optional/></session>",
)
