"""A queue's entries: a short head that Lua reads, then the stanza's bytes as they will be written.

    <kind><flags>|<stamp>|<fan-out id>|<stanza bytes>

kind   m message, q iq request, r iq response or a request of the server's own, p presence, c carbon copy, e event
flags  s may be stored offline, w wakes the phone, u urgent (a call), b may be bounced, d waited, so that it is late
       c other devices get a copy, a archived, h may wait while the client is inactive
       v shows that a conversation was displayed, o is not counted as unread, x may end a call
stamp  when the mailbox took it, ms since 1970; of what is archived the archive's id, `ms-seq`. One older than the
       stream that writes it gets a <delay/>
id     names the message when several sessions hold a copy of it; empty otherwise
"""

from __future__ import annotations

from dataclasses import dataclass, field

MESSAGE, IQ_REQUEST, IQ_RESPONSE, PRESENCE, COPY, EVENT = "m", "q", "r", "p", "c", "e"

STORE, WAKES, URGENT, BOUNCES, DELAYED, CARBON, ARCHIVE, HOLD = "s", "w", "u", "b", "d", "c", "a", "h"
DISPLAYED, UNCOUNTED, ENDS_CALL = "v", "o", "x"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a session's queue."""

    kind: str
    flags: str
    stamp_ms: int
    stanza: bytes = field(repr=False)


def decode(raw: bytes) -> Entry:
    """Read an entry as Lua wrote it."""
    head, stamp, _fanout, stanza = raw.split(b"|", 3)
    return Entry(chr(head[0]), head[1:].decode("ascii"), int(stamp.partition(b"-")[0]), stanza)
