"""Notices between processes over Redis pub/sub: hints that may be lost, never the only way something becomes known.

A notice says that a session's queue has grown, with the stanza if it is small, or that a session has been taken over
or ended. The owner notices a lost one at the next notice, which leaves a gap, or at its periodic check of tails.

    q <session id> <position> <mark>\\n<stanza bytes or nothing>
    c <session id> <epoch>            taken over by epoch, or replaced (epoch 0): close with stream error `conflict`
    d <session id> <why>              it was ended from outside (`WHY`): close with stream error `not-authorized`
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

import gevent
import hiredis

from gateway.mailbox import keys, redis_url
from gateway.mailbox.dial import Source, ask, packed
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.mailbox.model import Placed
from gateway.mailbox.timeline import NO_MARK, Line
from gateway.telemetry import get_logger

log = get_logger(__name__)

PING_AFTER_S = 10.0
"""of silence; no answer for as long again means that the connection is lost"""

LARGEST_STANZA = 8192
"""bytes; a larger stanza is not carried, the owner reads it from its queue"""


def _ignore(_reply: object) -> None:
    """A notice that nobody heard is no failure: the owner's periodic check finds what it said."""


def publish_entries(journal: Journal, placed: Iterable[Placed], stanza: bytes = b"", *, except_node: str = "") -> None:
    """Tell the owners of sessions that their queues have grown. Never blocks."""
    carried = stanza if len(stanza) <= LARGEST_STANZA else b""
    for entry in placed:
        if entry.position and entry.node and entry.node != except_node:
            text = b"q %s %d %s\n%s" % (entry.sid.encode(), entry.position, journal.line.mark, carried)
            journal.submit(_ignore, "PUBLISH", keys.NOTICES + entry.node, text)


def publish_conflict(journal: Journal, node: str, sid: str, epoch: int) -> None:
    """Tell a session's former owner that another connection has it now. Never blocks."""
    if node:
        journal.submit(_ignore, "PUBLISH", keys.NOTICES + node, b"c %s %d" % (sid.encode(), epoch))


WHY = {
    "removed": "the account was removed",
    "disabled": "the account was disabled",
    "ended": "the session was ended by an administrator",
    "password": "the password was changed",
}
"""why a session was ended from outside, in the words its client gets"""


def publish_removed(journal: Journal, node: str, sid: str, why: str = "removed") -> None:
    """Tell a session's owner that it was ended, for a reason of `WHY`. Never blocks."""
    if node:
        journal.submit(_ignore, "PUBLISH", keys.NOTICES + node, b"d %s %s" % (sid.encode(), why.encode()))


class Subscriber:
    """Listens to the notices for one node; connects again by itself.

    `line` is that of the process. `on_entry(sid, position, stanza)` (position 0: the queue is to be looked at),
    `on_conflict(sid, epoch)` and `on_removed(sid, why)` must not block;
    `on_connected()` says that notices may have been missed until now. `is_sharded`: the channel is one of a cluster.
    """

    def __init__(
        self,
        source: str | Source,
        node: str,
        *,
        on_entry: Callable[[str, int, bytes], None],
        on_conflict: Callable[[str, int], None],
        on_removed: Callable[[str, str], None],
        on_connected: Callable[[], None],
        line: Line,
        is_sharded: bool = False,
    ) -> None:
        self._source = redis_url.source(source)
        self._shard = "S" if is_sharded else ""
        self._channel = keys.NOTICES + node
        self._line = line
        self._on_entry = on_entry
        self._on_conflict = on_conflict
        self._on_removed = on_removed
        self._on_connected = on_connected
        self._runner: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin to listen; returns at once."""
        self._runner = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            self._runner.kill(timeout=1)
            self._runner = None

    def _run(self) -> None:
        pause_s = 0.05
        while True:
            connection = None
            try:
                connection = self._source.dial(PING_AFTER_S)
                ask(connection, f"{self._shard}SUBSCRIBE", self._channel)
                self._on_connected()
                pause_s = 0.05
                self._listen(connection)
            except (OSError, StoreUnavailable, hiredis.HiredisError) as lost:
                log.warning("notices_lost", error=str(lost))
            finally:
                if connection is not None:
                    connection.close()
            gevent.sleep(pause_s)
            pause_s = min(pause_s * 2, 1.0)

    def _listen(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        message, end = f"{self._shard}message".lower().encode(), f"{self._shard}unsubscribe".lower().encode()
        has_asked = False
        while True:
            try:
                data = connection.recv(65536)
            except TimeoutError:
                if has_asked:
                    raise
                has_asked = True
                connection.sendall(packed(("PING",)))
                continue
            if not data:
                raise StoreUnavailable("Redis closed the connection")
            has_asked = False
            reader.feed(data)
            while (push := reader.gets()) is not False:
                if isinstance(push, list) and push[0] == message:
                    self._hear(push[2])
                elif isinstance(push, list) and push[0] == end:
                    raise StoreUnavailable("the channel has moved to another server")

    def _hear(self, data: bytes) -> None:
        head, _, stanza = data.partition(b"\n")
        kind, sid, *rest = head.decode().split(" ")
        if kind == "q":
            # A position in other data than ours, as just after a failover, is no position in ours: see `timeline`.
            is_ours = rest[1:] == [self._line.mark.decode()] and self._line.mark != NO_MARK
            self._on_entry(sid, *((int(rest[0]), stanza) if is_ours else (0, b"")))
        elif kind == "c":
            self._on_conflict(sid, int(rest[0]))
        elif kind == "d":
            self._on_removed(sid, rest[0] if rest else "removed")
