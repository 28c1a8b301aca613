"""Gateway nodes: heartbeats, who is dead, and what the sweeper does about sessions that fell due."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gateway.mailbox import keys
from gateway.mailbox.journal import Callback, Journal
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import placed
from gateway.mailbox.model import Placed
from gateway.mailbox.settings import OfflineSettings, SmacksSettings


@dataclass(frozen=True, slots=True)
class Chores:
    """What fell due in one bucket."""

    expired: tuple[str, ...]
    last_calls: tuple[str, ...]
    unfinished: tuple[str, ...]
    fading: tuple[str, ...] = ()
    transferring: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asleep:
    """A session that has slept for long: what it said of itself last, since when it sleeps, and what others shall see
    of it: away or unavailable.
    """

    epoch: int
    presence: bytes
    fades_to: str
    since_ms: int


def heartbeat(journal: Journal, node: str, done: Callback) -> None:
    """Say that `node` lives. Its number only has to move; nobody's clock is compared with another's."""
    journal.submit(done, "FCALL", function("beat"), 1, keys.NODES, node)


def leave(journal: Journal, node: str, timeout_s: float) -> None:
    """`node` stops in good order; its sessions hibernate already. Raises StoreUnavailable after `timeout_s`: who stops
    must not wait for a Redis that went a moment ago.
    """
    journal.call_all((("HDEL", keys.NODES, node), ("HDEL", keys.NODE_MEMBERS, node)), timeout_s=timeout_s)


def declare_dead(journal: Journal, node: str) -> None:
    """A supervisor saw `node` die: its sessions are hibernated at once instead of after the lease."""
    journal.call("FCALL", function("mark_dead"), 1, keys.DEAD_NODES, node)


def heartbeats(journal: Journal) -> dict[str, int]:
    """Every known node with its number of heartbeats."""
    flat = journal.call("HGETALL", keys.NODES)
    return {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}


def declared_dead(journal: Journal) -> set[str]:
    """Nodes that a supervisor saw die and nobody has reaped yet."""
    return {node.decode() for node in journal.call("SMEMBERS", keys.DEAD_NODES)}


def forget(journal: Journal, node: str) -> None:
    """A dead node was reaped in every bucket."""
    journal.call("HDEL", keys.NODES, node)
    journal.call("HDEL", keys.NODE_MEMBERS, node)
    journal.call("SREM", keys.DEAD_NODES, node)


class Sweep:
    """The sweeper's operations, bucket by bucket.

    Every method waits, and raises StoreError. All of them may run twice.
    """

    def __init__(
        self, journal: Journal, *, smacks: SmacksSettings, offline: OfflineSettings, wake_rate: float = 0.0
    ) -> None:
        """`wake_rate`: so many devices of a dead node are woken in a second though nothing waits for them; 0 = none."""
        self._journal = journal
        self._wake_spacing_ms = math.ceil(1000 * keys.BUCKETS / wake_rate) if wake_rate else 0
        self._limits = (smacks.smacks_max_queue_size, offline.access_max_user_messages)
        self._resend = smacks.resend
        self._kept_old = smacks.smacks_max_old_sessions
        self._lead_ms = int(smacks.smacks_last_call * 1000)

    def _call(self, operation: str, bucket: int, *arguments: bytes | str | int) -> Any:
        return self._journal.call("FCALL", function(operation), 1, keys.bucket_prefix(bucket), *arguments)

    def chores(self, bucket: int, most: int = 100) -> Chores:
        """What fell due; push retries that did are back on the event stream already."""
        reply = self._call("chores", bucket, most)
        return Chores(*(tuple(sid.decode() for sid in part) for part in (*reply[:3], *reply[4:6])))

    def expire(self, bucket: int, sid: str) -> tuple[Placed, ...] | None:
        """End a session whose deadline has passed. None: somebody resumed it in time."""
        reply = self._call("expire", bucket, sid, self._resend, *self._limits, self._kept_old)
        if reply[0] == b"kept":
            return None
        found = placed(reply[1:])
        return found + self.finish(bucket, sid) if reply[0] == b"more" else found

    def finish(self, bucket: int, sid: str) -> tuple[Placed, ...]:
        """Go on with an end that its process did not finish."""
        found: tuple[Placed, ...] = ()
        while True:
            reply = self._call("finish", bucket, sid, self._resend, *self._limits)
            found += placed(reply[1:])
            if reply[0] == b"done":
                return found

    def last_call(self, bucket: int, sid: str) -> bool:
        """Wake the phone of a session that expires soon. False: nothing waits for it, or it is back."""
        return bool(self._call("last_call", bucket, sid) == b"ok")

    def fade(self, bucket: int, sid: str) -> Asleep | None:
        """A session whose time as available is over. None: it is back, or has ended."""
        reply = self._call("fade", bucket, sid)
        return Asleep(int(reply[1]), reply[2], reply[3].decode(), reply[4]) if reply[0] == b"yes" else None

    def faded(self, bucket: int, sid: str, epoch: int, seen: bytes) -> bool:
        """Others see a sleeping session like this from now on; contacts are told from the outbox. False: it is back."""
        return bool(self._call("faded", bucket, sid, epoch, seen) == b"ok")

    def reap(self, bucket: int, node: str) -> int:
        """Hibernate what a dead node owned in this bucket; answers the number of sessions."""
        count = 0
        while True:
            reply = self._call(
                "reap", bucket, node, 100, self._lead_ms, *self._limits, self._kept_old, self._resend,
                self._wake_spacing_ms,
            )  # fmt: skip
            count += int(reply[1])
            if reply[0] == b"done":
                return count

    def outbox(self, bucket: int, most: int = 100, *, spared_ms: int = 0) -> list[tuple[str, dict[str, bytes]]]:
        """Entries that wait to be bounced or handed on: (id, {do, user, stanza}). A subscription stanza that is younger
        than `spared_ms` is not among them: who wrote it is still at it.
        """
        reply = self._call("outbox", bucket, most, spared_ms)
        return [
            (entry.decode(), {fields[i].decode(): fields[i + 1] for i in range(0, len(fields), 2)})
            for entry, fields in reply
        ]

    def posted(self, bucket: int, entry: str) -> None:
        """An outbox entry reached its mailbox."""
        self._call("posted", bucket, entry)
