"""XEP-0202: Entity Time, version 2.0. The server's clock."""

from __future__ import annotations

import time

from gateway.hooks import Feature, Query, Xep
from gateway.xmpp import ns
from gateway.xmpp.delay import stamp
from gateway.xmpp.errors import StanzaCondition, StanzaError


def offset(seconds: int) -> str:
    """A distance from UTC as XEP-0082 section 3.3 writes it: `+05:30`."""
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"


def answer(query: Query) -> None:
    """XEP-0202 section 2."""
    if query.to.local:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    at = time.time()
    zone = offset(time.localtime(at).tm_gmtoff)
    query.reply(f"<time xmlns='{ns.TIME}'><tzo>{zone}</tzo><utc>{stamp(int(at * 1000))}</utc></time>".encode())


FEATURE = Feature(name="time", xep=Xep(202, "2.0.0"), disco=(ns.TIME,), iq_get={(ns.TIME, "time"): answer})
