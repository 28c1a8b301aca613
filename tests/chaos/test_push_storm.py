"""Pushes through providers that refuse, throttle, break off and fail, by workers that are killed: none is lost, and
what comes twice is the same push.

WAKEGATE_PUSH_CHAOS=10000 makes it that many pushes, with an outage between. `pytest -s` shows the figures.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from gateway.mailbox import keys
from gateway.mailbox.push_life import PushLife
from gateway.mailbox.push_workers import PushWorkers
from gateway.mailbox.pushes import ENDS, STREAMS, Decision, Pushes
from tests.chaos.push_workers import (
    Workers,
    bringing_back_what_is_due,
    configuration,
    lay_asleep,
    running_workers,
    wait_at_work,
)
from tests.push.sleeping import Phone, Town, wait_until
from workers.sandbox.record import ReceivedPush
from workers.sandbox.server import Addresses, Sandbox

PUSHES = int(os.environ.get("WAKEGATE_PUSH_CHAOS", "400"))
IS_WHOLE = PUSHES >= 5000
A_SECOND = 120
"""so many messages come for phones that sleep"""
BURST = 60
"""so many of them come at once, that there is something in hand when a worker dies"""
SPAN_S = PUSHES / A_SECOND
WORKERS = 3
KILLS = max(3, PUSHES // 400)
GOAWAY_EVERY = 500 if IS_WHOLE else 50
REQUEST_TIMEOUT_S = 12.0 if IS_WHOLE else 5.0
OUTAGE_S = 10.0
MOST_MEMORY = 200 * 2**20

APPLE, GOOGLE = 1, 0
"""whose device it is: its number modulo 2"""


class Storm:
    """`rage`, and then look. `gone`: tokens of which the provider says that they are dead."""

    def __init__(self, town: Town, sandbox: Sandbox, workers: Workers, rng: random.Random) -> None:
        self.town = town
        self.sandbox = sandbox
        self.workers = workers
        self.rng = rng
        self.tokens: list[str] = []
        self.gone: set[str] = set()
        for number in range(PUSHES):
            self._make_device(number % 2)
        self._break_off_now_and_then()

    def _make_device(self, whose: int) -> None:
        """What happens to its pushes is drawn once."""
        rng, is_apple = self.rng, whose == APPLE
        token = rng.randbytes(32).hex() if is_apple else f"android-{rng.randbytes(16).hex()}"
        arm = self.sandbox.arm_apns if is_apple else self.sandbox.arm_fcm
        self.tokens.append(token)
        match rng.randrange(12):
            case 0:
                reason = "TooManyRequests" if is_apple else "QUOTA_EXCEEDED"
                form = rng.choice(("seconds", "date"))
                arm(token, reason=reason, retry_after_s=1, retry_after_form=form, times=rng.randint(1, 2))
            case 1:
                arm(token, reason="ServiceUnavailable" if is_apple else "UNAVAILABLE", times=2)
            case 2:
                arm(token, action="reset", error_code=7, times=rng.randint(1, 3))
            case 3:
                arm(token, delay_s=rng.uniform(0.1, 1.0), times=1)
            case 4:
                arm(token, reason="Unregistered" if is_apple else "UNREGISTERED")
                self.gone.add(token)

    def _break_off_now_and_then(self) -> None:
        self.sandbox.arm_apns(action="goaway", reason="Shutdown", every=GOAWAY_EVERY)
        self.sandbox.arm_fcm(action="close", every=GOAWAY_EVERY)

    def rage(self, phones: list[Phone]) -> None:
        """Messages come in bursts while workers die; in the whole run both providers are down for a while."""
        parts = [gevent.spawn(self._fail)] if IS_WHOLE else []
        deaths = set(self.rng.sample(range(PUSHES // 6, PUSHES), KILLS))
        for number, phone in enumerate(phones):
            phone.gets()
            if number in deaths:
                parts.append(gevent.spawn(self.workers.kill_one, self.rng))
            if number % BURST == BURST - 1:
                gevent.sleep(BURST / A_SECOND)
        gevent.joinall(parts, raise_error=True)

    def _fail(self) -> None:
        gevent.sleep(SPAN_S / 2)
        self.sandbox.arm_apns(reason="ServiceUnavailable")
        self.sandbox.arm_fcm(status=502, body="<html><title>502 Bad Gateway</title></html>")
        gevent.sleep(OUTAGE_S)
        self._break_off_now_and_then()

    def life(self) -> PushLife:
        """What the workers counted."""
        return PushLife.of(Pushes(self.town.journal).counters())

    def is_over(self) -> bool:
        """Nothing waits for anything any more."""
        return self.town.events() == 0 and self.town.retries() == 0 and self.life().pushes_under_way == 0

    def ends(self, phones: list[Phone]) -> dict[str, Decision]:
        """By push id, what was said last of it."""
        pushes = Pushes(self.town.journal)
        return {line.push_id: line for phone in phones for line in pushes.trace(phone.user) if line.push_id}

    def accepted(self) -> dict[str, list[ReceivedPush]]:
        """By token, what the providers took."""
        found = defaultdict(list)
        for push in self.sandbox.record.since():
            if push.accepted:
                found[push.token].append(push)
        return found


@pytest.fixture
def storm(redis_url: str, tmp_path: Path) -> Iterator[Storm]:
    town = Town(redis_url)
    with (
        Sandbox(tmp_path / "sandbox", Addresses.free()) as sandbox,
        running_workers(
            configuration(tmp_path, redis_url, sandbox, request_timeout_s=REQUEST_TIMEOUT_S), WORKERS
        ) as workers,
    ):
        yield Storm(town, sandbox, workers, random.Random(4))
    town.leave()


def identity(push: ReceivedPush) -> tuple[str, ...]:
    """What makes two pushes the same for the device."""
    if push.provider == "apns":
        return (push.headers["apns-id"], push.headers["apns-collapse-id"], push.headers["apns-expiration"])
    message = push.payload["message"]
    return (message["data"]["push_id"], message["android"]["collapse_key"])


@pytest.mark.slow
@pytest.mark.timeout(300 + 5 * SPAN_S)
def test_no_push_is_lost_and_doubles_are_the_same_push_though_providers_fail_and_workers_die(storm: Storm) -> None:
    phones = lay_asleep(storm.town, storm.tokens)
    wait_at_work(storm.town, storm.workers)
    began = time.monotonic()
    with bringing_back_what_is_due(storm.town, storm.workers):
        storm.rage(phones)
        wait_over(storm)
        wait_at_work(storm.town, storm.workers)
    statuses = storm.workers.stop()
    accepted, ends, life = storm.accepted(), storm.ends(phones), storm.life()
    doubles = sum(len(pushes) - 1 for pushes in accepted.values())
    report(storm, life, doubles, time.monotonic() - began)

    # Each push has one end, and it is the one that the provider gave.
    assert PUSHES == len(ends)
    assert set() == {line.what.partition(":")[0] for line in ends.values()} - ENDS
    assert {"delivered": PUSHES - len(storm.gone), "token-gone": len(storm.gone)} == Counter(
        line.what for line in ends.values()
    )
    assert set(storm.tokens) - storm.gone == set(accepted)

    # What was accepted twice is the same push, and was counted.
    assert [] == [token for token, pushes in accepted.items() if len({identity(push) for push in pushes}) > 1]
    assert {identity(pushes[0])[0] for pushes in accepted.values()} == {
        push_id for push_id, line in ends.items() if line.what == "delivered"
    }
    assert doubles <= life.repeated

    # The books are right, and nothing is left but what forgets itself.
    assert (PUSHES, PUSHES, 0, PUSHES) == (life.raised, life.claimed, life.events_waiting, life.queued)
    assert ({}, 0) == (life.cancelled, life.pushes_under_way)
    assert life.ended["delivered"] == sum(latency.count for latency in life.latencies.values())
    assert [] == left_behind(storm.town)
    assert storm.workers.most_memory < MOST_MEMORY
    assert [0] * WORKERS == statuses
    assert set(storm.workers.ends) <= {0, -signal.SIGTERM}  # the latter of one that had hardly begun


@pytest.mark.slow
def test_a_push_that_was_accepted_before_its_worker_died_is_repeated_with_its_ids_and_counted(
    redis_url: str, tmp_path: Path
) -> None:
    town = Town(redis_url)
    tokens = ["ab" * 32, "android-token"]
    with (
        Sandbox(tmp_path / "sandbox", Addresses.free()) as sandbox,
        running_workers(configuration(tmp_path, redis_url, sandbox), 1) as workers,
    ):
        phones = lay_asleep(town, tokens)
        wait_at_work(town, workers)
        sandbox.arm_apns(tokens[0], delay_s=2.0, times=1)
        sandbox.arm_fcm(tokens[1], delay_s=2.0, times=1)
        with bringing_back_what_is_due(town, workers):
            for phone in phones:
                phone.gets()
            wait_until(lambda: not sandbox.faults.listing())  # both pushes are with the providers
            frozen = workers.freeze_one()
            workers.start()
            wait_until(lambda: len(sandbox.record.since(status=200)) == 2)
            frozen.kill()
            frozen.wait(10)
            wait_until(lambda: len(sandbox.record.since(status=200)) == 4 and town.events() == 0, timeout_s=60)
        counters = Pushes(town.journal).counters()
        same = [{identity(push) for push in sandbox.record.since(token=token)} for token in tokens]
    town.leave()

    assert [1, 1] == [len(identities) for identities in same]
    assert (2, 2, 2) == (counters["queued"], counters["delivered"], counters["repeated"])


def wait_over(storm: Storm) -> None:
    """Wait for the last push; a storm that does not end says what is left of it."""
    deadline = time.monotonic() + 60 + 3 * SPAN_S
    while not storm.is_over():
        waiting = (storm.town.events(), storm.town.retries(), storm.life().pushes_under_way)
        assert time.monotonic() < deadline, (waiting, storm.life(), PushWorkers(storm.town.journal).all())
        gevent.sleep(0.2)


def left_behind(town: Town) -> list[bytes]:
    """Keys of work that is over, and that would stay for ever."""
    for name in STREAMS:
        assert 0 == town.journal.call("XPENDING", name, keys.CONSUMER_GROUP)[0]
    left, cursor = [], b"0"
    while True:
        cursor, found = town.journal.call("SCAN", cursor, "MATCH", "wg:*:job:*", "COUNT", 1000)
        left += [key for key in found if not 0 < town.journal.call("TTL", key) <= 86_400]
        if cursor == b"0":
            return left


def report(storm: Storm, life: PushLife, doubles: int, took_s: float) -> None:
    """The figures, for who runs it by hand."""
    counters = storm.sandbox.record.counters
    statuses = {name: count for name, count in sorted(counters.items()) if "_status_" in name}
    print(f"\n{PUSHES} pushes, {KILLS} workers killed or ended, {took_s:.0f} s")
    print(f"delivered {life.ended['delivered']}, token gone {life.ended['token-gone']}, doubles {doubles}")
    print(f"sent {life.sent}, retried {life.retried}, put off {life.put_off}, repeated {life.repeated}")
    print(f"answers {statuses}, connections {counters['apns_connections']}")
    print(f"largest worker {storm.workers.most_memory / 2**20:.0f} MiB")
