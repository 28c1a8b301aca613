"""Limits as Prometheus reads them: who runs into them, and how busy gateways are. Labels name nodes and limits, but no
address, account or person.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from gateway.mailbox.overview import Overview
from workers.web.families import gauges, labelled


def families(found: Overview) -> Iterator[Metric]:
    """Every family, in the order of the page."""
    said = found.limits
    yield labelled(
        "limit_hits",
        "How often a limit slowed, refused or closed something, since the start of the node.",
        ("node", "limit", "outcome"),
        [
            ((node, limit, outcome), count)
            for node, report in said.items()
            for limit, outcomes in report.hits.items()
            for outcome, count in outcomes.items()
        ],
    )
    yield gauges(
        "connections", "Clients connected, logged in or not.", "node", {n: r.connections for n, r in said.items()}
    )
    yield gauges(
        "connections_unauthenticated",
        "Those of them that have not logged in.",
        "node",
        {n: r.unauthenticated for n, r in said.items()},
    )
    yield gauges("logins_queued", "Those that wait for their turn.", "node", {n: r.queued for n, r in said.items()})
    yield gauges(
        "lag_seconds", "By how much the node ran late at worst.", "node", {n: r.lag_ms / 1000 for n, r in said.items()}
    )
    yield gauges(
        "overloaded", "1 if the node binds no new sessions.", "node", {n: float(r.is_busy) for n, r in said.items()}
    )
