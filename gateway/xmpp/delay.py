"""XEP-0203: Delayed Delivery 2.0, with the times of XEP-0082."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.xmpp import ns
from gateway.xmpp.escape import escape
from gateway.xmpp.payload import several
from gateway.xmpp.stanza import peek

_FORWARDED: Final = f"<forwarded xmlns='{ns.FORWARD}'>".encode()
"""as the mailbox writes it (lua/40_deliver.lua)"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(ms: int) -> str:
    """Milliseconds since 1970 as XEP-0082 §3.2 writes them: `2002-09-10T23:41:07.123Z`."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def delay_child(domain: str, ms: int) -> bytes:
    """The `<delay/>` with which `domain` says that it has held the stanza since then."""
    return f"<delay xmlns='{ns.DELAY}' from='{escape(domain)}' stamp='{stamp(ms)}'/>".encode()


def delayed_copy(stanza: bytes, delay: bytes) -> bytes:
    """A carbon copy with its `<delay/>` where XEP-0297 §3 has it: in `<forwarded/>`, beside the stanza."""
    head, mark, tail = stanza.partition(_FORWARDED)
    return head + mark + delay + tail if mark else stanza


def has_delay_from(stanza: bytes, domain: str) -> bool:
    """Whether `domain` has said so already. Raises NotAnElement."""
    if ns.DELAY.encode() not in stanza:
        return False
    element = peek(stanza)
    if not element.has(ns.DELAY, "delay"):
        return False
    (content,) = element.payload().values()
    delays = several(content, f"{ns.DELAY}|delay")
    return any(isinstance(delay, dict) and delay.get("@from") == domain for delay in delays)
