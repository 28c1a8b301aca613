"""Families of samples as the Prometheus client library has them; all names begin with `wakegate_`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric


def gauge(name: str, meaning: str, value: float) -> Metric:
    """What may go up and down."""
    return GaugeMetricFamily(f"wakegate_{name}", meaning, value=value)


def gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """One for each value of a label."""
    family = GaugeMetricFamily(f"wakegate_{name}", meaning, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def counter(name: str, meaning: str, value: float) -> Metric:
    """What only goes up. `_total` is put behind its name."""
    return CounterMetricFamily(f"wakegate_{name}", meaning, value=value)


def counters(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """One for each value of a label."""
    return labelled(name, meaning, (label,), (((key,), value) for key, value in sorted(values.items())))


def labelled(
    name: str, meaning: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    """Counters with several labels: (values of the labels, count) of each."""
    family = CounterMetricFamily(f"wakegate_{name}", meaning, labels=labels)
    for values, count in samples:
        family.add_metric(values, count)
    return family
