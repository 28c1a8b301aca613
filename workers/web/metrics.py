"""An overview as Prometheus reads it (text exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.mailbox.overview import ACCEPTED, Overview
from workers.web import limit_metrics, push_metrics
from workers.web.families import counter, counters, gauge, gauges

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(overview: Overview) -> bytes:
    """The whole page. All names begin with `wakegate_`."""
    registry = CollectorRegistry()
    registry.register(_Families(overview))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def collect(self) -> Iterator[Metric]:
        """Every family, in the order of the page."""
        found, census = self._overview, self._overview.census
        yield gauge("accounts", "Accounts.", census.accounts)
        sessions = {line.node: line.sessions for line in found.nodes}
        yield gauges("sessions_live", "Sessions with a connection.", "node", sessions)
        yield gauge("sessions_sleeping", "Sessions that may be resumed.", census.sleeping)
        beats = {line.node: line.heartbeats for line in found.nodes}
        yield counters("node_heartbeats", "Heartbeats; a node whose number stands still is dead.", "node", beats)
        died = sum(line.declared_dead for line in found.nodes)
        yield gauges("nodes", "Gateway nodes.", "state", {"known": len(found.nodes) - died, "declared_dead": died})
        accepted = census.fates.get(ACCEPTED, 0)
        yield counter("messages_accepted", "Messages taken into mailboxes.", accepted)
        ends = {fate: count for fate, count in census.fates.items() if fate != ACCEPTED}
        yield counters("messages_ended", "Accepted messages by what became of them.", "fate", ends)
        yield gauge("messages_waiting", "Accepted messages without a fate yet.", found.waiting_messages)
        what = "What Redis has lost of what clients were told, after a failover or a power cut."
        yield counters("writes_lost", what, "what", found.losses)
        yield gauge("outbox_stanzas", "Stanzas that wait to be returned to their senders.", census.outbox)
        yield from push_metrics.families(found)
        yield gauge("archives", "Accounts that have an archive.", found.archive.accounts)
        moved = found.archive.moved
        yield counter("archive_entries_moved", "Archive entries moved to SQL.", moved)
        if found.archive.round_s is not None:
            age = found.archive.round_s
            yield gauge("archive_round_age_seconds", "Since an archiver finished a round over all archives.", age)
        yield from limit_metrics.families(found)
        used = {line.server: float(line.used_bytes) for line in found.memory}
        yield gauges("redis_memory_bytes", "What a Redis server uses.", "server", used)
        most = {line.server: float(line.limit_bytes) for line in found.memory}
        yield gauges("redis_memory_limit_bytes", "Its maxmemory; 0 if it has none.", "server", most)
        there = {domain: float(is_there) for domain, is_there in found.components.items()}
        yield gauges("component_connected", "1 if the external component is connected.", "domain", there)
