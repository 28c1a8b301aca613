"""Pushes as Prometheus reads them: the life of events and pushes, how long it took, how workers stand with providers.

Labels name states, reasons and providers. None names an app, a service, a device or a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from gateway.mailbox.overview import Overview
from gateway.mailbox.push_life import PushLife
from gateway.mailbox.push_workers import CredentialReport, WorkerReport
from workers.web.families import counter, gauge, gauges, labelled


def families(found: Overview) -> Iterator[Metric]:
    """Every family, in the order of the page."""
    census, life = found.census, found.life
    yield gauge("push_events_waiting", "Push events not yet done.", census.events)
    age = found.oldest_event_s or 0.0
    yield gauge("push_oldest_event_age_seconds", "Age of the oldest waiting push event, 0 if none waits.", age)
    yield gauge("push_retries_waiting", "Events and pushes that are looked at again later.", census.retries)
    yield gauge("push_dead_letters", "Pushes that were given up and can be replayed.", found.dead_letters)
    yield from _of_life(life)
    yield _latencies(life)
    yield from _of_workers(found.workers)


def _of_life(life: PushLife) -> Iterator[Metric]:
    yield labelled(
        "push_events",
        "Push events by state; raised is claimed and cancelled and what waits. Coalesced messages needed none.",
        ("state", "why"),
        [
            *_plain({"raised": life.raised, "coalesced": life.coalesced, "claimed": life.claimed}),
            *_because("cancelled", life.cancelled),
        ],
    )
    yield labelled(
        "pushes",
        "Pushes by state, one for each registration of a claimed event; queued is all others and what is under way.",
        ("state", "why"),
        [
            *_plain({"queued": life.queued, **life.ended}),
            *_because("skipped", life.skipped),
            *_because("withdrawn", life.withdrawn),
        ],
    )
    yield counter("push_attempts", "Times that a provider was asked for a push, and answered or did not.", life.sent)
    yield counter("push_retries", "Attempts after which the push was to be tried again.", life.retried)
    yield counter("push_put_off", "Times that a push had to wait though the provider was not asked.", life.put_off)
    yield counter("push_repeated", "Pushes perhaps made twice, after the death of a worker.", life.repeated)


def _plain(states: Mapping[str, int]) -> Iterator[tuple[tuple[str, str], float]]:
    return (((state, ""), count) for state, count in states.items())


def _because(state: str, reasons: Mapping[str, int]) -> Iterator[tuple[tuple[str, str], float]]:
    return (((state, why), count) for why, count in sorted(reasons.items()))


def _latencies(life: PushLife) -> Metric:
    family = HistogramMetricFamily(
        "wakegate_push_latency_seconds",
        "From the event to the answer of the provider that took the push.",
        labels=["provider"],
    )
    for provider, latency in sorted(life.latencies.items()):
        family.add_metric([provider], list(latency.within.items()), latency.sum_s)
    return family


def _of_workers(workers: Mapping[str, WorkerReport]) -> Iterator[Metric]:
    yield gauge("push_workers", "Push workers that have reported within seconds.", len(workers))
    yield gauge("push_events_in_hand", "Events that workers have in hand.", sum(w.in_hand for w in workers.values()))
    reports = [report for worker in workers.values() for report in worker.credentials]
    yield _breakers(reports)
    connections = _sums((report.provider, report.connections) for report in reports)
    yield gauges("push_connections", "Open connections to a provider.", "provider", connections)
    waiting = _sums((report.provider, report.waiting) for report in reports)
    yield gauges("push_requests_waiting", "Requests that wait for a place in a connection.", "provider", waiting)
    ages: dict[str, float] = {}
    for report in reports:
        if report.token_age_s is not None:
            ages[report.provider] = max(report.token_age_s, ages.get(report.provider, 0.0))
    yield gauges("push_token_age_seconds", "Age of the oldest provider token in use.", "provider", ages)


def _breakers(reports: list[CredentialReport]) -> Metric:
    found: Counter[tuple[str, str]] = Counter()
    for report in reports:
        for state in ("closed", "open", "half-open"):
            found[report.provider, state] += report.breakers.get(state, 0)
    family = GaugeMetricFamily(
        "wakegate_push_breakers", "Breakers by state, of all workers together.", labels=["provider", "state"]
    )
    for labels, count in sorted(found.items()):
        family.add_metric(labels, count)
    return family


def _sums(pairs: Iterator[tuple[str, int]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for provider, count in pairs:
        found[provider] = found.get(provider, 0.0) + count
    return found
