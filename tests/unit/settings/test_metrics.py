"""Metrics: what Prometheus reads."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from gateway.metrics import Metric, Metrics


def lines_of(metrics: Metrics) -> list[str]:
    return metrics.exposition().decode().splitlines()


def test_what_was_measured_is_exposed_under_our_prefix() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.count(Metric.STANZAS, "in", "message")
    metrics.count(Metric.STANZAS, "in", "message", by=2)
    metrics.put(Metric.ACCOUNTS, 7)
    metrics.observe(Metric.PUSH_SECONDS, 0.3, "apns")
    lines = lines_of(metrics)

    assert 'wakegate_stanzas_total{direction="in",kind="message"} 3.0' in lines
    assert "wakegate_accounts 7.0" in lines
    assert 'wakegate_push_seconds_count{provider="apns"} 1.0' in lines


def test_two_registries_know_nothing_of_each_other() -> None:
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.put(Metric.CONNECTIONS, 5)

    assert "wakegate_connections 0.0" in lines_of(other)


def test_a_metric_is_not_measured_as_what_it_is_not() -> None:
    with pytest.raises(KeyError):
        Metrics(CollectorRegistry()).count(Metric.ACCOUNTS)


def test_every_metric_says_what_it_means() -> None:
    lines = lines_of(Metrics(CollectorRegistry()))

    assert [] == [metric for metric in Metric if not any(f"HELP {metric.wire_name}" in line for line in lines)]
