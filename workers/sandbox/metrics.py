"""The sandbox's counters in Prometheus' text format, for GET /metrics of the control port."""

import re
from collections.abc import Iterable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_STATUS = re.compile(r"([a-z]+)_status_([0-9]+)")
_DESTINATION = re.compile(r"([a-z]+)_connections_to_(.+)")
_GAUGES = ("open", "peak")


class _Counters(Collector):
    def __init__(self, stats: Mapping[str, int]) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        answers = CounterMetricFamily("wakegate_sandbox_answers", "Answers by status.", labels=["provider", "status"])
        reached = CounterMetricFamily(
            "wakegate_sandbox_connections_to", "Connections by local address.", labels=["provider", "address"]
        )
        single: list[Metric] = []
        for name, value in self._stats.items():
            if match := _STATUS.fullmatch(name):
                answers.add_metric(list(match.groups()), value)
            elif match := _DESTINATION.fullmatch(name):
                reached.add_metric(list(match.groups()), value)
            elif any(word in name.split("_") for word in _GAUGES):
                single.append(GaugeMetricFamily(f"wakegate_sandbox_{name}", name.replace("_", " "), value))
            else:
                single.append(CounterMetricFamily(f"wakegate_sandbox_{name}", name.replace("_", " "), value))
        return [answers, reached, *single]


def exposition(stats: Mapping[str, int]) -> bytes:
    """The counters of `Control.stats` as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Counters(stats))
    return generate_latest(registry)
