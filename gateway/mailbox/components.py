"""External components' mailboxes (XEP-0114): one for each domain, without an account, with at most one session.

Whoever connects as the component takes that session over, wherever it was; `deliver` puts what is addressed to anything
at the domain into its queue. So a component is reached from every process as a user's device is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import gevent

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip

BEAT_WAIT_S = 5.0
"""a process that has not beaten for so long is dead: more than two of its heartbeats"""

POLL_S = 0.25
"""how often its heartbeat is looked at meanwhile"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A component's session is ours: its marks, the server's clock (ms), and the process that had it until now."""

    grip: Grip
    acked: int
    tail: int
    at_ms: int
    former_node: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Another connection, on process `node`, has the component's session."""

    sid: str
    epoch: int
    node: str


class Components:
    """Operations on components' mailboxes. They wait, and raise StoreError."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def claim(self, *, domain: str, sid: str, owner: str, wait_ms: int, over: Taken | None = None) -> Claimed | Taken:
        """Make this process the owner of the component's session, or of a new one called `sid`.

        `owner` names the connection. `wait_ms`: how long what is queued waits for the next connection. `over`: the live
        session that may be taken over; any other live one is not touched.
        """
        at = keys.prefix(domain)
        reply = self._mailbox.journal.call(
            "FCALL", function("component"), 1, at, domain, sid, self._mailbox.node, owner, wait_ms,
            over.epoch if over else "",
        )  # fmt: skip
        if reply[0] == b"conflict":
            return Taken(reply[1].decode(), reply[2], reply[3].decode())
        _, found, epoch, acked, tail, at_ms, former = reply
        return Claimed(Grip(at, found.decode(), epoch), acked, tail, at_ms, former.decode())

    def is_alive(self, node: str) -> bool:
        """Does that process beat? Waits for a beat, `BEAT_WAIT_S` at most."""
        journal = self._mailbox.journal
        beats = seen = journal.call("HGET", keys.NODES, node)
        deadline = time.monotonic() + BEAT_WAIT_S
        while beats == seen and not journal.call("SISMEMBER", keys.DEAD_NODES, node):
            if seen is None or time.monotonic() > deadline:
                return False
            gevent.sleep(POLL_S)
            beats = journal.call("HGET", keys.NODES, node)
        return beats not in (None, seen)
