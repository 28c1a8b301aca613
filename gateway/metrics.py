"""Metrics by names that are spelt once: a thin face of prometheus_client.

What is measured is a member of `Metric`, so that a misspelt name is found by the type checker and the table is its own
documentation. The registry is the caller's, never a global one; prometheus_client is loaded by whoever measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX: Final = "wakegate_"


@dataclass(frozen=True, slots=True)
class Shape:
    """Of what kind a metric is, what it means, and by what its values are told apart."""

    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()


class Metric(Enum):
    """Every metric. On the wire: `wakegate_` and the member's name in lower case, a counter with `_total` behind it."""

    ACCOUNTS = Shape("gauge", "Accounts in the store.")
    SESSIONS = Shape("gauge", "Sessions, live and sleeping.", ("state",))
    MESSAGES = Shape("gauge", "Messages by the fate they met; since the store was made.", ("fate",))
    PUSHES = Shape("gauge", "Pushes by outcome; since the store was made.", ("outcome",))
    PUSH_EVENTS_WAITING = Shape("gauge", "Push events that no worker is done with.")
    PUSH_EVENT_OLDEST_SECONDS = Shape("gauge", "Age of the oldest of them.")
    CONNECTIONS = Shape("gauge", "Open client connections of this process.")
    STANZAS = Shape("counter", "Stanzas from (in) and to (out) clients of this process.", ("direction", "kind"))
    ERRORS = Shape("counter", "Failures that the code foresaw, by what their class calls itself.", ("metric",))
    STORE_SECONDS = Shape("histogram", "From an operation's submission to its answer.")
    PUSH_SECONDS = Shape("histogram", "From a push's sending to the provider's answer.", ("provider",))

    @property
    def wire_name(self) -> str:
        """The name as Prometheus sees it, without a counter's `_total`."""
        return PREFIX + self.name.lower()


class Metrics:
    """Measures into one registry. Labels are given in the order of the metric's shape; KeyError for a wrong kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Gauge, Histogram  # short commands measure nothing

        self._registry = registry
        self._counters: dict[Metric, Counter] = {}
        self._gauges: dict[Metric, Gauge] = {}
        self._histograms: dict[Metric, Histogram] = {}
        for metric in Metric:
            name, shape = metric.wire_name, metric.value
            if shape.kind == "counter":
                self._counters[metric] = Counter(name, shape.meaning, shape.labels, registry=registry)
            elif shape.kind == "gauge":
                self._gauges[metric] = Gauge(name, shape.meaning, shape.labels, registry=registry)
            else:
                self._histograms[metric] = Histogram(name, shape.meaning, shape.labels, registry=registry)

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        counter = self._counters[metric]
        (counter.labels(*labels) if labels else counter).inc(by)

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[metric]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add one observation to a histogram."""
        histogram = self._histograms[metric]
        (histogram.labels(*labels) if labels else histogram).observe(seconds)

    def exposition(self) -> bytes:
        """All of them, as `/metrics` answers (text/plain; version=0.0.4)."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
