"""What the pages say of pushes: sums that add up, a histogram as Prometheus wants it, and how workers stand."""

from __future__ import annotations

import re
from importlib.resources import files

from gateway.mailbox import keys
from gateway.mailbox.push_life import BOUNDS_MS, PushLife
from gateway.mailbox.push_workers import ALIVE_S, CredentialReport, PushWorkers, WorkerReport
from tests.mailbox.world import World
from tests.web.conftest import Ask
from tests.web.test_pages import metrics

COUNTED = {
    "raised": 20, "coalesced": 5, "claimed": 12, "cancelled:back": 4, "cancelled:read-elsewhere": 1,
    "queued": 15, "delivered": 6, "token-gone": 1, "refused": 1, "dead": 1, "expired": 1, "skipped:muted": 2,
    "withdrawn:back": 1, "sent": 11, "retried": 3, "put-off": 7, "repeated": 1,
    "latency:apns:50": 2, "latency:apns:1000": 3, "latency:apns:+Inf": 1, "latency-sum:apns": 402_500,
}  # fmt: skip


def count(world: World, counted: dict[str, int]) -> None:
    """Spread over two buckets, as counters of different accounts are."""
    for number, (name, value) in enumerate(counted.items()):
        world.redis.hincrby(keys.key(keys.bucket_prefix(number % 2), "push_counts"), name, value)


def a_report(**breakers: int) -> WorkerReport:
    apple = CredentialReport(
        provider="apns", apps=("beta", "chat"), breakers={"closed": 1}, connections=2, waiting=3, token_age_s=61.0
    )
    google = CredentialReport(provider="fcm", apps=("droid",), breakers=breakers or {"closed": 1}, why="UNAVAILABLE")
    return WorkerReport(in_hand=4, credentials=(apple, google))


def test_what_was_raised_and_queued_is_told_with_all_that_became_of_it(world: World, ask: Ask) -> None:
    count(world, COUNTED)
    push = ask("/api/status").json["push"]

    assert {
        "raised": 20, "claimed": 12, "cancelled": {"back": 4, "read-elsewhere": 1}, "waiting": 3, "coalesced": 5,
    } == push["events"]  # fmt: skip
    assert {
        "queued": 15, "delivered": 6, "token-gone": 1, "refused": 1, "dead": 1, "expired": 1, "skipped": {"muted": 2},
        "withdrawn": {"back": 1}, "under_way": 2,
    } == push["pushes"]  # fmt: skip
    assert {"sent": 11, "retried": 3, "put_off": 7, "repeated": 1} == push["tries"]
    assert (6, round(402.5 / 6, 3)) == (push["latency"]["apns"]["count"], push["latency"]["apns"]["mean_s"])


def test_the_same_numbers_are_counters_with_a_state_and_why(world: World, ask: Ask) -> None:
    count(world, COUNTED)
    found = metrics(ask("/metrics").text)

    assert {
        ("wakegate_push_events_total", "raised", ""): 20,
        ("wakegate_push_events_total", "coalesced", ""): 5,
        ("wakegate_push_events_total", "cancelled", "back"): 4,
        ("wakegate_pushes_total", "queued", ""): 15,
        ("wakegate_pushes_total", "token-gone", ""): 1,
        ("wakegate_pushes_total", "skipped", "muted"): 2,
        ("wakegate_pushes_total", "withdrawn", "back"): 1,
        ("wakegate_push_attempts_total",): 11,
        ("wakegate_push_retries_total",): 3,
        ("wakegate_push_put_off_total",): 7,
        ("wakegate_push_repeated_total",): 1,
    }.items() <= found.items()


def test_latencies_are_a_histogram_whose_buckets_include_those_below(world: World, ask: Ask) -> None:
    count(world, COUNTED)
    found = metrics(ask("/metrics").text)
    name = "wakegate_push_latency_seconds"
    bounds = ["0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "15.0", "60.0", "300.0", "+Inf"]

    assert [2, 2, 2, 2, 5, 5, 5, 5, 5, 5, 6] == [found[f"{name}_bucket", bound, "apns"] for bound in bounds]
    assert (6, 402.5) == (found[f"{name}_count", "apns"], found[f"{name}_sum", "apns"])


def test_the_histogram_has_the_bounds_into_which_the_store_counts() -> None:
    library = "".join(part.read_text() for part in (files("gateway.mailbox") / "lua").iterdir())
    (within,) = re.findall(r"local WITHIN = \{([^}]*)\}", library)

    assert list(BOUNDS_MS) == [int(bound) for bound in within.split(",")]


def test_books_that_do_not_add_up_are_negative_and_not_hidden() -> None:
    life = PushLife.of({"raised": 1, "claimed": 2, "queued": 1, "delivered": 2})

    assert (-1, -1) == (life.events_waiting, life.pushes_under_way)


def test_how_workers_stand_with_their_providers_is_shown(world: World, ask: Ask) -> None:
    workers = PushWorkers(world.journal)
    workers.report("one", a_report(open=1))
    workers.report("two", a_report())
    status, text = ask("/api/status").json["push"]["workers"], ask("/metrics").text
    found = metrics(text)

    assert ["one", "two"] == list(status)
    assert (["beta", "chat"], {"open": 1}) == (
        status["one"]["credentials"][0]["apps"],
        status["one"]["credentials"][1]["breakers"],
    )
    assert {
        ("wakegate_push_workers",): 2,
        ("wakegate_push_events_in_hand",): 8,
        ("wakegate_push_breakers", "fcm", "open"): 1,
        ("wakegate_push_breakers", "fcm", "closed"): 1,
        ("wakegate_push_breakers", "apns", "half-open"): 0,
        ("wakegate_push_connections", "apns"): 4,
        ("wakegate_push_requests_waiting", "apns"): 6,
        ("wakegate_push_token_age_seconds", "apns"): 61,
    }.items() <= found.items()
    assert set() == {"beta", "chat", "droid", "one", "two"} & {label for _, *labels in found for label in labels}


def test_a_worker_that_stopped_or_fell_silent_is_not_shown(world: World) -> None:
    workers = PushWorkers(world.journal)
    for name in ("here", "stopped", "silent"):
        workers.report(name, a_report())
    workers.leave("stopped")
    at_ms, _, said = world.journal.call("HGET", keys.PUSH_WORKERS, "silent").decode().partition(" ")
    world.redis.hset(keys.PUSH_WORKERS, "silent", f"{int(at_ms) - ALIVE_S * 1000 - 1:.0f} {said}")

    assert ["here"] == list(workers.all())
    workers.report("here", a_report())
    assert [b"here"] == world.redis.hkeys(keys.PUSH_WORKERS)
