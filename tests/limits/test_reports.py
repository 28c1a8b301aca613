"""What gateways say of their limits, as operators read it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from gateway.cli.status import as_text
from gateway.limits.hits import Hits, Limit, Outcome
from gateway.limits.process import Limits
from gateway.mailbox import nodes
from gateway.mailbox.journal import Journal
from gateway.mailbox.limit_reports import LimitReport, report, reports
from gateway.mailbox.overview import collect
from gateway.sections import LimitSettings
from gateway.session.watch import Watch
from tests.support.pieces import eventually
from workers.web.metrics import render

FOUND = LimitReport(
    hits={"login-queue": {"refused": 412}, "connection-speed": {"slowed": 3}},
    connections=20,
    unauthenticated=2,
    queued=1,
    lag_ms=1500,
    is_busy=True,
)


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    journal = Journal(redis_url)
    journal.start()
    journal.wait_up(10)
    yield journal
    journal.stop()


def test_operators_see_what_each_gateway_says(journal: Journal) -> None:
    nodes.heartbeat(journal, "one", lambda _reply: None)
    report(journal, "one", FOUND)
    overview = collect(journal, time.time())
    page, text = render(overview).decode(), as_text(overview.to_json())

    assert 'wakegate_limit_hits_total{limit="login-queue",node="one",outcome="refused"} 412.0' in page
    assert 'wakegate_connections_unauthenticated{node="one"} 2.0' in page
    assert 'wakegate_lag_seconds{node="one"} 1.5' in page
    assert 'wakegate_overloaded{node="one"} 1.0' in page
    assert "one: 20 connections, 2 not logged in, 1 queued; 1500 ms late, too busy for new sessions" in text
    assert "one: login-queue refused 412, connection-speed slowed 3" in text


def test_a_gateway_that_says_nothing_is_not_shown(journal: Journal) -> None:
    report(journal, "one", FOUND)

    assert ["one"] == list(reports(journal, ["one", "two"]))


def test_a_limit_that_was_hit_is_reported_soon(journal: Journal) -> None:
    limits = Limits(LimitSettings(), hits=Hits())
    watch = Watch(limits, journal, "one")
    watch.start()
    limits.hits.count(Limit.STANZA, Outcome.CLOSED, "192.0.2.1")

    eventually(lambda: reports(journal, ["one"]).get("one", FOUND).hits == {"stanza": {"closed": 1}}, "the report")
    watch.stop()
