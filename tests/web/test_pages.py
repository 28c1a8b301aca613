"""The pages over HTTP, on a real store."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.mailbox import keys, nodes
from gateway.mailbox.archive_moves import ArchiveMoves
from gateway.mailbox.components import Components
from gateway.mailbox.embedded import EmbeddedServer
from gateway.mailbox.journal import Journal
from tests.mailbox.world import JULIET, ROMEO, WAIT_S, World, a_message, waited
from tests.sweeper.builders import wait_for
from tests.web.conftest import Ask, ask_over

PATHS = ("/", "/healthz", "/metrics", "/api/status")


def a_busy_store(world: World) -> None:
    """A live session that acknowledged, a sleeping one that is to be woken, a dead node, and pushes that ended."""
    waited(lambda done: nodes.heartbeat(world.journal, world.node, done))
    nodes.declare_dead(world.journal, "n2")
    phone, laptop = world.client("phone"), world.client("laptop")
    phone.register(token="the-token")
    world.deliver(a_message("one secret"), to="phone")
    world.deliver(a_message("two secrets"), to="laptop")
    laptop.ack_all()
    phone.hibernate()
    world.redis.hincrby(keys.key(world.at, "push_counts"), "delivered", 7)
    world.redis.xadd(keys.DEAD_LETTERS, {"why": "refused"})


def metrics(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values…) -> value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_status_is_what_the_store_holds(world: World, ask: Ask) -> None:
    a_busy_store(world)
    status = ask("/api/status").json

    assert [("n1", 1, False), ("n2", 0, True)] == [
        (node["node"], node["sessions"], node["declared_dead"]) for node in status["nodes"]
    ]
    assert (1, {"live": 1, "sleeping": 1}) == (status["accounts"], status["sessions"])
    assert ({"accepted": 2, "acked": 1}, 1) == (status["fates"], status["messages_waiting"])
    assert (1, 0, 1) == tuple(status["push"][name] for name in ("events_waiting", "retries", "dead_letters"))
    assert (1, 1, 7) == (
        status["push"]["events"]["raised"],
        status["push"]["events"]["waiting"],
        status["push"]["pushes"]["delivered"],
    )
    assert 0 <= status["push"]["oldest_event_s"] < 60


def test_what_an_archiver_did_and_who_is_connected_are_told(world: World) -> None:
    moves = ArchiveMoves(world.journal, token="w", recent_ms=0, recent=0)
    moves.finished(3, int(time.time() * 1000) - 5000)
    moves.finished(4, int(time.time() * 1000) - 5000)
    Components(world.mailbox).claim(domain="chat.localhost", sid="c1", owner="o", wait_ms=1000)
    with contextmanager(ask_over)(world.journal, ("chat.localhost", "sms.localhost")) as ask:
        status, found = ask("/api/status").json, metrics(ask("/metrics").text)

    assert (7, True) == (status["archive"]["moved"], 5 <= status["archive"]["round_s"] < 60)
    assert {"chat.localhost": True, "sms.localhost": False} == status["components"]
    assert (7, 1, 0) == (
        found["wakegate_archive_entries_moved_total",],
        found["wakegate_component_connected", "chat.localhost"],
        found["wakegate_component_connected", "sms.localhost"],
    )
    assert 5 <= found["wakegate_archive_round_age_seconds",] < 60


def test_the_metrics_say_the_same(world: World, ask: Ask) -> None:
    a_busy_store(world)
    found = metrics(ask("/metrics").text)

    assert {
        ("wakegate_accounts",): 1,
        ("wakegate_sessions_live", "n1"): 1,
        ("wakegate_sessions_live", "n2"): 0,
        ("wakegate_sessions_sleeping",): 1,
        ("wakegate_node_heartbeats_total", "n1"): 1,
        ("wakegate_nodes", "known"): 1,
        ("wakegate_nodes", "declared_dead"): 1,
        ("wakegate_messages_accepted_total",): 2,
        ("wakegate_messages_ended_total", "acked"): 1,
        ("wakegate_messages_waiting",): 1,
        ("wakegate_outbox_stanzas",): 0,
        ("wakegate_push_events_waiting",): 1,
        ("wakegate_push_retries_waiting",): 0,
        ("wakegate_push_dead_letters",): 1,
        ("wakegate_push_events_total", "raised", ""): 1,
        ("wakegate_push_events_total", "claimed", ""): 0,
        ("wakegate_pushes_total", "delivered", ""): 7,
        ("wakegate_push_workers",): 0,
    }.items() <= found.items()
    assert [] == [name for name, *_ in found if not name.startswith("wakegate_")]


def test_no_page_shows_who_talks_or_what_is_said(world: World, ask: Ask) -> None:
    a_busy_store(world)
    shown = "".join(ask(path).text for path in PATHS)

    assert [] == [secret for secret in ("juliet", JULIET, ROMEO, "secret", "the-token") if secret in shown]


def test_a_healthy_store_is_said_to_be_healthy(ask: Ask) -> None:
    answer = ask("/healthz")

    assert (200, "ok\n") == (answer.status, answer.text)


@pytest.mark.parametrize("path", PATHS)
def test_every_page_tells_the_browser_to_trust_nothing_else(ask: Ask, path: str) -> None:
    headers = ask(path).headers

    assert "nosniff" == headers["x-content-type-options"]
    assert "DENY" == headers["x-frame-options"]
    assert "no-store" == headers["cache-control"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_the_dashboards_policy_admits_its_own_script_and_style_only(ask: Ask) -> None:
    answer = ask("/")
    inline = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", answer.text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in inline]

    assert 2 == len(inline)
    assert [] == [code for code in hashes if f"'sha256-{code}'" not in answer.headers["content-security-policy"]]


def test_the_dashboard_needs_nothing_from_elsewhere(ask: Ask) -> None:
    page = ask("/").text

    assert [] == re.findall(r"https?://|<link|<img|\bsrc=|@import", page)


@pytest.mark.parametrize("path", ["/nothing", "/healthz/", "//", "/../etc/passwd", "/api"])
def test_what_is_not_there_is_404(ask: Ask, path: str) -> None:
    assert 404 == ask(path).status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(ask: Ask, method: str) -> None:
    answer = ask("/api/status", method)

    assert (405, "GET, HEAD") == (answer.status, answer.headers["allow"])


def test_a_head_request_gets_the_head_only(ask: Ask) -> None:
    answer = ask("/healthz", "HEAD")

    assert (200, b"") == (answer.status, answer.body)


def test_many_viewers_at_once_cost_the_store_one_look(world: World, ask: Ask) -> None:
    ask("/api/status")
    before = calls_of(world, "hgetall")
    for _ in range(5):
        ask("/api/status")

    assert calls_of(world, "hgetall") - before < 5 * (keys.BUCKETS + 2)


def calls_of(world: World, command: str) -> int:
    found = world.redis.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})
    return int(found["calls"])


# A connection that the journal tries in vain leaves its socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_without_redis_every_number_is_a_503_that_says_why_and_comes_back(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    journal = Journal(server.url)
    journal.start()
    journal.wait_up(WAIT_S)
    try:
        with contextmanager(ask_over)(journal) as ask:
            ask("/api/status")
            server.stop()
            wait_for(lambda: not journal.is_up)
            # What was taken a moment ago may still be shown.
            wait_for(lambda: ask("/api/status").status == 503)
            answers = {path: ask(path) for path in PATHS}
            waiting = journal.waiting
            server.start()
            wait_for(lambda: ask("/healthz").status == 200)
    finally:
        journal.stop()
        server.stop()

    assert {"/": 200, "/healthz": 503, "/metrics": 503, "/api/status": 503} == {
        path: answer.status for path, answer in answers.items()
    }
    assert "Redis does not answer\n" == answers["/healthz"].text
    assert {"error": "Redis does not answer"} == answers["/api/status"].json
    assert 0 == waiting
