"""The push worker, from a message for a sleeping phone to what the sandbox received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from gateway.mailbox.keys import CONSUMER_GROUP
from gateway.mailbox.pushes import STREAMS, Event, Pushes
from gateway.mailbox.settings import RedisSettings
from tests.push.builders import an_android_app, an_iphone_app
from tests.push.sleeping import Town, wait_until
from workers.consumer import Consumer
from workers.push.settings import PushSettings
from workers.push.worker import PushWorker
from workers.sandbox.server import Sandbox

Start = Callable[..., PushWorker]


@pytest.fixture
def town(redis_url: str) -> Iterator[Town]:
    """Mailboxes on an empty Redis."""
    made = Town(redis_url)
    yield made
    made.leave()


@pytest.fixture
def start(town: Town, sandbox: Sandbox) -> Iterator[Start]:
    """Starts workers, and stops them."""
    running: list[tuple[PushWorker, gevent.Greenlet]] = []

    def begin(**settings: Any) -> PushWorker:
        apps = {"chat": an_iphone_app(sandbox), "droid": an_android_app(sandbox)}
        worker = PushWorker(
            RedisSettings(url=town.url), settings=PushSettings(**{"apps": apps, "floor": 0.0, **settings})
        )
        running.append((worker, gevent.spawn(worker.run)))
        return worker

    yield begin
    for worker, greenlet in running:
        worker.stop()
        greenlet.join(30)


def pushed(sandbox: Sandbox, provider: str = "apns") -> int:
    return len(sandbox.record.since(provider=provider, status=200))


def test_a_message_for_a_sleeping_phone_is_one_push(town: Town, sandbox: Sandbox, start: Start) -> None:
    start()
    phone = town.a_sleeping_phone(token="cd" * 32)
    phone.gets()
    wait_until(lambda: pushed(sandbox) == 1)
    (received,) = sandbox.record.since()

    assert "cd" * 32 == received.token
    assert {"kind": "message", "count": 1, "node": "node", "unread": 1} == received.payload["wakegate"]
    wait_until(lambda: town.events() == 0)
    assert {"delivered": 1} == town.outcomes()


def test_a_burst_is_one_push_that_counts_all(town: Town, sandbox: Sandbox, start: Start) -> None:
    phone = town.a_sleeping_phone()
    for number in range(10):
        phone.gets(f"message {number}")
    start()
    wait_until(lambda: pushed(sandbox) >= 1 and town.events() == 0)

    assert [10] == [received.payload["wakegate"]["count"] for received in sandbox.record.since()]


def test_within_the_floor_there_is_one_trailing_push(town: Town, sandbox: Sandbox, start: Start) -> None:
    start(floor=3600.0)
    phone = town.a_sleeping_phone()
    phone.gets("first")
    wait_until(lambda: pushed(sandbox) == 1)
    for number in range(5):
        phone.gets(f"more {number}")
    wait_until(lambda: town.retries() == 1 and town.events() == 0)

    assert 1 == pushed(sandbox)


def test_a_phone_that_is_back_is_not_pushed(town: Town, sandbox: Sandbox, start: Start) -> None:
    phone = town.a_sleeping_phone()
    phone.gets()
    phone.wake()
    start()
    wait_until(lambda: town.events() == 0)

    assert [] == sandbox.record.since()


def test_what_may_be_told_is_told(town: Town, sandbox: Sandbox, start: Start) -> None:
    start(apps={"chat": an_iphone_app(sandbox, content="body")})
    town.a_sleeping_phone(content="sender").gets("a secret", sender="romeo@localhost/garden")
    town.a_sleeping_phone("nurse@localhost", token="ef" * 32).gets("come hither", sender="romeo@localhost/garden")
    wait_until(lambda: pushed(sandbox) == 2)
    alerts = {received.token: received.payload["aps"]["alert"] for received in sandbox.record.since()}

    assert {"title": "romeo@localhost", "body": "New message"} == alerts["ab" * 32]
    assert {"title": "romeo@localhost", "body": "come hither"} == alerts["ef" * 32]


def test_all_devices_of_a_session_are_pushed_each_by_its_provider(town: Town, sandbox: Sandbox, start: Start) -> None:
    start()
    phone = town.a_phone()
    phone.register(node="one")
    phone.register(node="two", app="droid", token="android-token")
    phone.sleep()
    phone.gets()
    wait_until(lambda: pushed(sandbox) == 1 and pushed(sandbox, "fcm") == 1)
    wait_until(lambda: town.events() == 0)

    assert {"delivered": 2} == town.outcomes()


def test_a_dead_token_is_removed(town: Town, sandbox: Sandbox, start: Start) -> None:
    start()
    sandbox.arm_apns("ab" * 32, reason="Unregistered", timestamp=int(time.time() * 1000) + 60_000)
    town.a_sleeping_phone().gets()
    wait_until(lambda: town.outcomes() == {"token-gone": 1} and town.events() == 0)

    assert [] == town.registrations()


def test_a_token_that_was_registered_after_it_died_is_kept(town: Town, sandbox: Sandbox, start: Start) -> None:
    start()
    sandbox.arm_apns("ab" * 32, reason="Unregistered", timestamp=int(time.time() * 1000) - 60_000)
    town.a_sleeping_phone().gets()
    wait_until(lambda: town.outcomes() == {"token-gone": 1} and town.events() == 0)

    assert ["ab" * 32] == town.registrations()


def test_what_fails_is_tried_again_with_the_same_id(town: Town, sandbox: Sandbox, start: Start) -> None:
    start()
    sandbox.arm_apns("ab" * 32, reason="ServiceUnavailable", times=2)
    town.a_sleeping_phone().gets()
    for attempt in (1, 2):
        wait_until(lambda attempt=attempt: len(sandbox.record.since()) == attempt and town.retries() == 1)
        town.let_retries_fall_due()
    wait_until(lambda: town.outcomes() == {"delivered": 1} and town.events() == 0)

    assert 3 == len(sandbox.record.since())
    assert 1 == len({received.headers["apns-id"] for received in sandbox.record.since()})


def test_a_retry_is_cancelled_when_the_phone_is_back(town: Town, sandbox: Sandbox, start: Start) -> None:
    start()
    sandbox.arm_apns("ab" * 32, reason="ServiceUnavailable")
    phone = town.a_sleeping_phone()
    phone.gets()
    wait_until(lambda: town.retries() == 1)
    phone.wake()
    town.let_retries_fall_due()
    wait_until(lambda: town.retries() == 0 and town.events() == 0)

    assert 1 == len(sandbox.record.since())


def test_after_the_last_try_there_is_a_dead_letter_that_can_be_replayed(
    town: Town, sandbox: Sandbox, start: Start
) -> None:
    start(retry_limit=2)
    sandbox.arm_apns("ab" * 32, reason="ServiceUnavailable", times=2)
    town.a_sleeping_phone().gets()
    wait_until(lambda: town.retries() == 1)
    town.let_retries_fall_due()
    wait_until(lambda: town.outcomes() == {"dead": 1})
    pushes = Pushes(town.journal)
    ((letter, fields),) = pushes.dead_letters()

    assert "2 attempts, the last: ServiceUnavailable" == fields["why"]
    assert "ab" * 32 not in str(fields)
    pushes.replay(letter, fields)
    wait_until(lambda: pushed(sandbox) == 1)
    assert [] == pushes.dead_letters()


def test_our_own_fault_is_a_dead_letter_and_the_registration_stays(town: Town, sandbox: Sandbox, start: Start) -> None:
    start()
    sandbox.arm_apns("ab" * 32, reason="BadTopic")
    town.a_sleeping_phone().gets()
    wait_until(lambda: town.outcomes() == {"refused": 1})

    assert 1 == len(Pushes(town.journal).dead_letters())
    assert ["ab" * 32] == town.registrations()
    assert 1 == len(sandbox.record.since())


def test_a_registration_for_an_app_that_is_not_configured_is_counted(
    town: Town, sandbox: Sandbox, start: Start
) -> None:
    start()
    town.a_sleeping_phone(app="other").gets()
    wait_until(lambda: town.outcomes() == {"skipped:unknown-app": 1} and town.events() == 0)

    assert [] == sandbox.record.since()


def test_apples_silence_does_not_delay_google(town: Town, sandbox: Sandbox, start: Start) -> None:
    start(in_flight=3, request_timeout=60.0)
    sandbox.arm_apns(action="ignore")
    for number in range(12):
        town.a_sleeping_phone(f"iphone{number}@localhost", token=f"{number:064x}").gets()
    wait_until(lambda: len(sandbox.record.since(provider="apns")) >= 1)
    for number in range(5):
        town.a_sleeping_phone(f"android{number}@localhost", app="droid", token=f"droid-{number}").gets()
    wait_until(lambda: pushed(sandbox, "fcm") == 5)

    assert 0 == pushed(sandbox)
    sandbox.faults.disarm()
    sandbox.go_away()


def test_workers_share_the_work_and_push_each_once(town: Town, sandbox: Sandbox, start: Start) -> None:
    for _ in range(3):
        start()
    for number in range(60):
        town.a_sleeping_phone(f"user{number}@localhost", token=f"{number:064x}").gets()
    wait_until(lambda: town.outcomes() == {"delivered": 60} and town.events() == 0)

    assert 60 == pushed(sandbox)
    assert 0 == sandbox.stats()["apns_duplicates"]


def test_what_a_dead_worker_had_in_hand_is_pushed_by_another(town: Town, sandbox: Sandbox, start: Start) -> None:
    town.a_sleeping_phone().gets()
    dead = Consumer(town.url, streams=tuple(STREAMS), group=CONSUMER_GROUP, name="dead", claim_after_s=60)
    assert 1 == len(list(dead.read(10, block_s=1.0)))
    heir = Consumer(town.url, streams=tuple(STREAMS), group=CONSUMER_GROUP, name="heir", claim_after_s=0.05)
    gevent.sleep(0.1)
    inherited = list(heir.read(10, block_s=0.1))

    assert 1 == len(inherited)
    assert "juliet@localhost" == inherited[0].fields["user"]
    dead.leave()
    heir.leave()


def test_what_a_living_worker_has_in_hand_is_not_taken_over(town: Town) -> None:
    town.a_sleeping_phone().gets()
    slow = Consumer(town.url, streams=tuple(STREAMS), group=CONSUMER_GROUP, name="slow", claim_after_s=60)
    heir = Consumer(town.url, streams=tuple(STREAMS), group=CONSUMER_GROUP, name="heir", claim_after_s=0.5)
    (entry,) = list(slow.read(10, block_s=1.0))
    for _ in range(8):
        gevent.sleep(0.1)
        slow.renew([(entry.stream, entry.id)])
        assert [] == list(heir.read(10, block_s=0.01))
    slow.leave()
    heir.leave()


def test_an_event_that_was_recorded_before_the_crash_is_not_pushed_again(
    town: Town, sandbox: Sandbox, start: Start
) -> None:
    """A worker dies after the outcome is written and before the event is done."""
    phone = town.a_sleeping_phone()
    phone.gets()
    dead = Consumer(town.url, streams=tuple(STREAMS), group=CONSUMER_GROUP, name="dead", claim_after_s=60)
    (entry,) = list(dead.read(10, block_s=1.0))
    pushes = Pushes(town.journal)
    event = Event.read(STREAMS[entry.stream], entry.id, entry.fields)
    claim: Any = pushes.claim(event, floor_ms=0)
    pushes.outcome(event, claim.registrations[0], "delivered")
    again: Any = pushes.claim(event, floor_ms=0)

    assert "done" == again.reason
    dead.leave()


def test_a_worker_that_is_stopped_finishes_what_it_has(town: Town, sandbox: Sandbox, start: Start) -> None:
    worker = start()
    sandbox.arm_apns("ab" * 32, delay_s=0.5)
    town.a_sleeping_phone().gets()
    wait_until(lambda: worker._dispatcher.under_way == 1)
    worker.stop()

    assert worker.join(20)
    assert {"delivered": 1} == town.outcomes()
    assert 0 == town.events()


def test_a_worker_survives_redis_being_emptied(town: Town, sandbox: Sandbox, start: Start) -> None:
    start()
    town.a_sleeping_phone().gets()
    wait_until(lambda: pushed(sandbox) == 1)
    town.journal.call("FLUSHALL")
    town.a_sleeping_phone("nurse@localhost").gets()

    wait_until(lambda: pushed(sandbox) == 2)


def test_a_burst_window_is_waited_for(town: Town, sandbox: Sandbox, start: Start) -> None:
    start(burst=0.5)
    phone = town.a_sleeping_phone()
    phone.gets("one")
    gevent.sleep(0.05)
    phone.gets("two")
    wait_until(lambda: pushed(sandbox) == 1)

    assert 2 == sandbox.record.since()[0].payload["wakegate"]["count"]
