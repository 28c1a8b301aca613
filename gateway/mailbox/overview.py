"""What the store knows of itself, on one page: for `wakegate status`, the dashboard and /metrics. Numbers only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.mailbox import keys, nodes, timeline
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.journal import Journal
from gateway.mailbox.limit_reports import LimitReport, reports
from gateway.mailbox.memory import Memory, memory_of
from gateway.mailbox.model import Census
from gateway.mailbox.push_life import PushLife
from gateway.mailbox.push_workers import PushWorkers, WorkerReport
from gateway.mailbox.pushes import Pushes

ACCEPTED = "accepted"
"""the counter of messages that were taken; every other one counts an end"""


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One gateway node. `sessions` are those it owns; `declared_dead`: its supervisor saw it die."""

    node: str
    heartbeats: int
    sessions: int
    declared_dead: bool


@dataclass(frozen=True, slots=True)
class ArchiveLine:
    """`accounts` that have an archive; `moved`: entries that archivers have moved to SQL, ever; `round_s`: for how long
    no archiver has finished a round, None if none ever did.
    """

    accounts: int
    moved: int
    round_s: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at one moment. `life`: of all pushes; `workers`: push workers by name. `oldest_event_s`: for how long
    the oldest push event has waited, None if none waits; `components`: domain of each configured one -> whether it is
    connected; `limits`: what gateways say of theirs, by node; `memory`: of each Redis server.
    """

    nodes: tuple[NodeLine, ...]
    census: Census
    life: PushLife
    workers: dict[str, WorkerReport]
    dead_letters: int
    oldest_event_s: float | None
    archive: ArchiveLine
    components: dict[str, bool]
    limits: dict[str, LimitReport]
    memory: tuple[Memory, ...] = ()
    losses: Mapping[str, int] = field(default_factory=dict)
    """what Redis has lost of what clients were told, ever: docs/durability.md"""

    @property
    def live(self) -> int:
        """Sessions that a node owns."""
        return sum(node.sessions for node in self.nodes)

    @property
    def waiting_messages(self) -> int:
        """Accepted messages that have not met their fate yet: in a queue, or offline. Below 0, the books are wrong."""
        fates = self.census.fates
        return 2 * fates.get(ACCEPTED, 0) - sum(fates.values())

    def to_json(self) -> dict[str, Any]:
        """As `wakegate status --json` and /api/status show it."""
        census = self.census
        return {
            "nodes": [
                {
                    "node": line.node,
                    "heartbeats": line.heartbeats,
                    "sessions": line.sessions,
                    "declared_dead": line.declared_dead,
                }
                for line in self.nodes
            ],
            "accounts": census.accounts,
            "sessions": {"live": self.live, "sleeping": census.sleeping},
            "outbox": census.outbox,
            "fates": dict(sorted(census.fates.items())),
            "messages_waiting": self.waiting_messages,
            "lost": dict(sorted(self.losses.items())),
            "push": {
                "events_waiting": census.events,
                "oldest_event_s": None if self.oldest_event_s is None else round(self.oldest_event_s, 1),
                "retries": census.retries,
                "dead_letters": self.dead_letters,
                **self.life.to_json(),
                "workers": {name: msgspec.to_builtins(report) for name, report in self.workers.items()},
            },
            "archive": {
                "accounts": self.archive.accounts,
                "moved": self.archive.moved,
                "round_s": None if self.archive.round_s is None else round(self.archive.round_s, 1),
            },
            "components": dict(sorted(self.components.items())),
            "limits": {node: msgspec.to_builtins(report) for node, report in sorted(self.limits.items())},
            "redis": [line.to_json() for line in self.memory],
        }


def collect(journal: Journal, now: float, components: Iterable[str] = ()) -> Overview:
    """Look at everything; `now` in seconds since 1970, `components`: the configured domains. Raises StoreError."""
    census = Accounts(journal).census()
    dead = nodes.declared_dead(journal)
    heartbeats = nodes.heartbeats(journal)
    owned = {node: _sessions_of(journal, node) for node in sorted(heartbeats.keys() | dead)}
    return Overview(
        nodes=tuple(NodeLine(node, heartbeats.get(node, 0), count, node in dead) for node, count in owned.items()),
        census=census,
        life=PushLife.of(Pushes(journal).counters()),
        workers=PushWorkers(journal).all(),
        dead_letters=int(journal.call("XLEN", keys.DEAD_LETTERS)),
        oldest_event_s=max(0.0, now - census.oldest_event_ms / 1000) if census.oldest_event_ms else None,
        archive=_archive(journal, now),
        components={domain: _is_connected(journal, domain) for domain in components},
        limits=reports(journal, owned),
        memory=memory_of(journal),
        losses=timeline.losses(journal.call_all),
    )


def _sessions_of(journal: Journal, node: str) -> int:
    return _members(journal, "owned", node)


def _members(journal: Journal, name: str, *parts: str) -> int:
    """Of this set in all buckets."""
    names = [keys.key(at, name, *parts) for at in keys.PREFIXES]
    return sum(journal.call_all([("SCARD", each) for each in names]))


def _archive(journal: Journal, now: float) -> ArchiveLine:
    moved, round_ms = journal.call("HMGET", keys.ARCHIVER, "moved", "round_ms")
    age = max(0.0, now - int(round_ms) / 1000) if round_ms else None
    return ArchiveLine(_members(journal, "archives"), int(moved or 0), age)


def _is_connected(journal: Journal, domain: str) -> bool:
    """A component's mailbox has one session at most; while somebody is connected, a node owns it."""
    at = keys.prefix(domain)
    for sid in journal.call("HVALS", keys.key(at, "resources", domain)):
        if journal.call("HGET", keys.key(at, "session", sid.decode()), "node"):
            return True
    return False
