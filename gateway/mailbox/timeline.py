"""Is this still the data that clients were told of? What is asked on each new connection, before anything else.

A failover may lose what the old master had answered and not yet sent to its replica, a restart what was not on the
disk. The data then is what it was a moment ago: positions of queues, and inbound counts, would be given a second time
for something else. docs/durability.md says what comes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.mailbox import keys
from gateway.mailbox.dial import Part
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.library import function
from gateway.mailbox.model import Grip
from gateway.telemetry import get_logger

log = get_logger(__name__)

Converse = Callable[[Sequence[tuple[Part, ...]]], list[Any]]
"""Asks one server several commands at once, see `dial.ask_all`."""

Proof = Callable[[Converse, Collection[str], str], None]
"""Compares what clients were told with what a server has in the buckets with these prefixes; see `look_back`. The text
tells one start of one server from all others.
"""

NO_MARK = b"-"
"""of a process that is not sure"""

PIECE = 200
"""sessions that are verified in one step of Redis"""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the client of a live session was told: positions written to it, positions that it acknowledged, and the
    inbound count that it may have seen acknowledged (0 without XEP-0198).
    """

    user: str
    grip: Grip
    sent: int
    acked: int
    told: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Redis has of it. `status`: `ok`; `behind` (it has ended now); `gone`, or `stale` (another owns it, or it has
    ended in order).

    `kept`: positions up to this one are those that were told; `h` the inbound count; `tail` where the queue ends.
    """

    status: str
    kept: int
    h: int
    tail: int


class Line:
    """Which start of which server each bucket's data is from, as one process knows it.

    Two processes with the same `mark` speak of the same data: what one says of positions the other may believe.
    """

    __slots__ = ("_proofs", "_run_ids", "mark")

    def __init__(self) -> None:
        self._run_ids: dict[str, str] = {}
        self._proofs: dict[str, int] = {}
        self.mark = NO_MARK

    def spoken_for(self, prefixes: Iterable[str]) -> None:
        """What clients were told of these buckets' sessions is being compared: of those that are known now."""
        for prefix in prefixes:
            self._proofs[prefix] = self.proofs(prefix) + 1

    def proofs(self, prefix: str) -> int:
        """So often it was. A session that is learnt of while this changes may have been left out."""
        return self._proofs.get(prefix, 0)

    def note(self, prefixes: Iterable[str], run_id: str) -> None:
        """A server has what clients were told of these buckets."""
        self._run_ids.update(dict.fromkeys(prefixes, run_id))
        self._set_mark()

    def forget(self, prefixes: Iterable[str] | None = None) -> None:
        """The connection to the server of these buckets (of all) is lost: the next one may be to another."""
        for prefix in list(self._run_ids) if prefixes is None else prefixes:
            self._run_ids.pop(prefix, None)
        self._set_mark()

    def _set_mark(self) -> None:
        if len(self._run_ids) < keys.BUCKETS:
            self.mark = NO_MARK
        else:
            self.mark = hashlib.sha256(repr(sorted(self._run_ids.items())).encode()).hexdigest()[:8].encode()


def look_back(
    converse: Converse,
    proof: Proof | None,
    line: Line,
    buckets: Iterable[int] = range(keys.BUCKETS),
    nodes: Sequence[str] | None = None,
) -> None:
    """What has to come first on a new connection to the master of `buckets`. Raises OSError, StoreUnavailable.

    `nodes`: gateways that may own sessions, where this server cannot be asked for them.
    """
    prefixes = [keys.bucket_prefix(bucket) for bucket in buckets]
    [run_id] = converse([("FCALL", function("run_id"), 1, prefixes[0])])
    survey(converse, run_id.decode(), known_nodes(converse) if nodes is None else nodes, prefixes)
    if proof is not None:
        line.spoken_for(prefixes)  # nobody else runs until the proof has seen which sessions there are
        try:
            proof(converse, prefixes, run_id.decode())
        except (OSError, StoreUnavailable):
            raise
        except Exception as fault:  # a fault of ours: not to know is no licence to go on
            log.exception("sessions_not_verified")
            raise StoreUnavailable("sessions could not be verified") from fault
    line.note(prefixes, run_id.decode())


def survey(converse: Converse, run_id: str, nodes: Sequence[str], prefixes: Sequence[str]) -> int:
    """Have a server that has just become master keep how far the queues of `nodes`' live sessions reach.

    Answers how many sessions there are that wait to be verified; 0 on a server that was master before. Raises OSError,
    StoreUnavailable. `prefixes` are those of the buckets that it is master of.
    """
    found = converse([("FCALL", function("survey"), 1, at, run_id, *nodes) for at in prefixes])
    return sum(max(0, n) for n in found)


def losses(converse: Converse) -> dict[str, int]:
    """What Redis has lost of what clients were told, ever. `acknowledged`: stanzas to their senders; `delivered`:
    positions written to sockets; `sessions`: that ended by it. Raises StoreError.
    """
    found = {"acknowledged": 0, "delivered": 0, "sessions": 0}
    for flat in converse([("HGETALL", keys.key(at, "losses")) for at in keys.PREFIXES]):
        for i in range(0, len(flat), 2):
            found[flat[i].decode()] += int(flat[i + 1])
    return found


def known_nodes(converse: Converse) -> list[str]:
    """Gateways that may own sessions, dead ones included. Raises OSError, StoreUnavailable."""
    [names] = converse([("HKEYS", keys.NODES)])
    return [name.decode() for name in names]


def verify(
    converse: Converse, claims: Iterable[Claim], node: str, end_arguments: tuple[str, int, int, int]
) -> list[tuple[Claim, Verdict]]:
    """Compare what clients were told with what Redis has; what is behind has ended when this returns.

    `node` owns the sessions; `end_arguments` are those of `Mailbox`. Raises OSError, StoreUnavailable.
    """
    by_bucket: dict[str, list[Claim]] = {}
    for claim in claims:
        by_bucket.setdefault(claim.grip.at, []).append(claim)
    pieces = [(at, mine[i : i + PIECE]) for at, mine in by_bucket.items() for i in range(0, len(mine), PIECE)]
    replies = converse([_command(at, piece, node, end_arguments) for at, piece in pieces]) if pieces else []
    return [
        (claim, Verdict(status.decode(), kept, h, tail))
        for (_, piece), reply in zip(pieces, replies, strict=True)
        for claim, (status, kept, h, tail) in zip(piece, reply, strict=True)
    ]


def _command(at: str, piece: Sequence[Claim], node: str, end_arguments: tuple[str, int, int, int]) -> tuple[Part, ...]:
    flat: list[Part] = []
    for claim in piece:
        flat += (claim.user, claim.grip.sid, claim.grip.epoch, claim.sent, claim.acked, claim.told)
    return ("FCALL", function("verify"), 1, at, node, *end_arguments, *flat)
