"""An overview as Prometheus reads it (text exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.mailbox.overview import ACCEPTED, Overview

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
        yield _gauge("accounts", "Accounts.", census.accounts)
        sessions = {line.node: line.sessions for line in found.nodes}
        yield _gauges("sessions_live", "Sessions with a connection.", "node", sessions)
        yield _gauge("sessions_sleeping", "Sessions that may be resumed.", census.sleeping)
        beats = {line.node: line.heartbeats for line in found.nodes}
        yield _counters("node_heartbeats", "Heartbeats; a node whose number stands still is dead.", "node", beats)
        died = sum(line.declared_dead for line in found.nodes)
        yield _gauges("nodes", "Gateway nodes.", "state", {"known": len(found.nodes) - died, "declared_dead": died})
        accepted = census.fates.get(ACCEPTED, 0)
        yield CounterMetricFamily("wakegate_messages_accepted", "Messages taken into mailboxes.", value=accepted)
        ends = {fate: count for fate, count in census.fates.items() if fate != ACCEPTED}
        yield _counters("messages_ended", "Accepted messages by what became of them.", "fate", ends)
        yield _gauge("messages_waiting", "Accepted messages without a fate yet.", found.waiting_messages)
        yield _gauge("outbox_stanzas", "Stanzas that wait to be returned to their senders.", census.outbox)
        yield _gauge("push_events_waiting", "Push events not yet done.", census.events)
        age = found.oldest_event_s or 0.0
        yield _gauge("push_oldest_event_age_seconds", "Age of the oldest waiting push event, 0 if none waits.", age)
        yield _gauge("push_retries_waiting", "Pushes that are tried again later.", census.retries)
        yield _gauge("push_dead_letters", "Pushes that were given up and can be replayed.", found.dead_letters)
        yield _counters("push_outcomes", "Pushes by how they ended.", "outcome", found.outcomes)
        yield _gauge("archives", "Accounts that have an archive.", found.archive.accounts)
        moved = found.archive.moved
        yield CounterMetricFamily("wakegate_archive_entries_moved", "Archive entries moved to SQL.", value=moved)
        if found.archive.round_s is not None:
            age = found.archive.round_s
            yield _gauge("archive_round_age_seconds", "Since an archiver finished a round over all archives.", age)
        there = {domain: float(is_there) for domain, is_there in found.components.items()}
        yield _gauges("component_connected", "1 if the external component is connected.", "domain", there)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"wakegate_{name}", meaning, value=value)


def _gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"wakegate_{name}", meaning, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _counters(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"wakegate_{name}", meaning, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
