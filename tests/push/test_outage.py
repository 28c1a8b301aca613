"""Apple is away for ten minutes: Google's pushes are as fast as ever, nothing piles up without bound, and afterwards
Apple is not run over.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator

import gevent
import pytest
from gevent.pool import Pool

from gateway.mailbox.keys import CONSUMER_GROUP
from gateway.mailbox.push_life import PushLife
from gateway.mailbox.pushes import STREAMS, Event, Pushes
from tests.push.builders import an_android_app, an_iphone_app
from tests.push.simulated_time import Second, Simulation
from tests.push.sleeping import Phone, Town, wait_until
from workers.consumer import Consumer
from workers.push.apps import Apps
from workers.push.breaker import BreakerRules
from workers.push.dispatcher import Dispatcher
from workers.push.settings import PushSettings
from workers.push.token_store import LocalTokenStore
from workers.sandbox.server import Sandbox

PHONES = 120
A_SECOND = 1
"""of each sort that get a message"""

DOWN_FROM, DOWN_TO = 30, 630
IN_FLIGHT = 50


@pytest.fixture
def town(redis_url: str) -> Iterator[Town]:
    """Mailboxes on an empty Redis."""
    made = Town(redis_url)
    yield made
    made.leave()


@pytest.fixture
def simulation(town: Town, sandbox: Sandbox) -> Iterator[Simulation]:
    """An app of each provider."""
    apps = {"chat": an_iphone_app(sandbox), "droid": an_android_app(sandbox)}
    made = Simulation(town, sandbox, PushSettings(apps=apps, floor=0.0, in_flight=IN_FLIGHT))
    yield made
    made.close()


def phones(town: Town, app: str) -> Iterator[Phone]:
    """All of an app in turn, without end."""
    tokens = [f"{number:064x}" if app == "chat" else f"android-{number}" for number in range(PHONES)]
    made = [town.a_sleeping_phone(f"{app}{n}@localhost", token=token, app=app) for n, token in enumerate(tokens)]
    return itertools.cycle(made)


def run(simulation: Simulation, town: Town, sandbox: Sandbox) -> list[Second]:
    """Messages all the time; the outage; and on until nothing waits."""
    apple, google = phones(town, "chat"), phones(town, "droid")
    seconds: list[Second] = []
    while not seconds or seconds[-1].at < DOWN_TO + 60 or seconds[-1].retries:
        if simulation.now == DOWN_FROM:
            sandbox.arm_apns(reason="ServiceUnavailable")
        if simulation.now == DOWN_TO:
            sandbox.faults.disarm("apns")
        woken = [next(each) for each in (apple, google) for _ in range(A_SECOND)]
        seconds.append(simulation.step(woken if simulation.now < DOWN_TO + 60 else []))
        assert seconds[-1].at < 3600, "it does not end"
    return seconds


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ten_minutes_without_apple_do_not_slow_google_nor_pile_up_nor_end_in_a_stampede(
    simulation: Simulation, town: Town, sandbox: Sandbox
) -> None:
    seconds = run(simulation, town, sandbox)
    before = [second for second in seconds if second.at <= DOWN_FROM]
    during = [second for second in seconds if DOWN_FROM < second.at <= DOWN_TO]
    life = PushLife.of(Pushes(town.journal).counters())
    report(seconds, life)

    # Google's pushes go out in the second in which they are due, as fast as before.
    assert {A_SECOND} == {second.requests["fcm"] for second in seconds if second.at <= DOWN_TO + 60}
    assert percentile(during, 50) < 3 * percentile(before, 50) + 5
    assert percentile(during, 95) < 3 * percentile(before, 95) + 20

    # No more waits than there are devices, however many messages came for them.
    assert max(second.retries for second in seconds) <= PHONES
    assert max(second.under_way for second in seconds) <= 2 * IN_FLIGHT

    # Ten failures open the breaker, and on a slow machine some more are under way by then; then a probe now and then.
    rules = BreakerRules()
    tried = [second.requests["apns"] for second in during]
    assert sum(tried) <= rules.faults + 5 * A_SECOND + 6
    assert [] == [count for count in tried[rules.faults :] if count > 1]

    # And when it works again, what waits goes out slowly at first.
    back_at = next(second.at for second in seconds if second.at > DOWN_TO and second.requests["apns"])
    sent = list(itertools.accumulate(second.requests["apns"] for second in seconds if second.at >= back_at))
    assert [] == [at for at, count in enumerate(sent[:60]) if count > 1 + rules.admitted(at + 1)]

    # Nothing was lost over it.
    assert 0 == life.events_waiting == life.pushes_under_way
    assert {"dead": 0, "expired": 0, "refused": 0, "token-gone": 0} == {
        end: count for end, count in life.ended.items() if end != "delivered"
    }
    assert 2 * PHONES == len({push.token for push in sandbox.record.since(status=200)})


def percentile(seconds: list[Second], percent: int) -> float:
    """Of how long Google's pushes took."""
    return statistics.quantiles([ms for second in seconds for ms in second.google_ms], n=100)[percent - 1]


def report(seconds: list[Second], life: PushLife) -> None:
    """The figures, for `pytest -s`."""
    for name, first, last in (("before", 0, DOWN_FROM), ("during", DOWN_FROM, DOWN_TO), ("after", DOWN_TO, 3600)):
        part = [second for second in seconds if first < second.at <= last]
        fcm = [ms for second in part for ms in second.google_ms]
        apns = sum(second.requests["apns"] for second in part)
        print(
            f"\n{name}: {len(part)} s, FCM median {statistics.median(fcm):.1f} ms, 95 % {percentile(part, 95):.1f} ms;"
            f" APNs {apns} requests, at most {max(second.requests['apns'] for second in part)} a second;"
            f" {max(second.retries for second in part)} wait at most",
            end="",
        )
    print(f"\n{life}")


RULES = BreakerRules(faults=10, open_s=1.0, open_most_s=4.0, probe_s=2.0, ramp_first=5, ramp_double_s=1.0, ramp_s=4.0)


@pytest.fixture
def dispatcher(town: Town, sandbox: Sandbox) -> Iterator[Dispatcher]:
    """At work in real time, with little patience."""
    apps = {"chat": an_iphone_app(sandbox), "droid": an_android_app(sandbox)}
    settings = PushSettings(apps=apps, floor=0.0, in_flight=20, request_timeout=1.0, retry_first=0.5, retry_most=2.0)
    providers = Apps(settings, store=LocalTokenStore(), breaker_rules=RULES)
    made = Dispatcher(Pushes(town.journal), providers, settings=settings)
    consumer = Consumer(town.url, streams=tuple(STREAMS), group=CONSUMER_GROUP, name="w", claim_after_s=60.0)
    crew = Pool(200)

    def work() -> None:
        while True:
            for bucket in STREAMS.values():
                town.sweep.chores(bucket)
            for entry in consumer.read(200, block_s=0.02):
                crew.spawn(made.handle, Event.read(STREAMS[entry.stream], entry.id, entry.fields))

    working = gevent.spawn(work)
    yield made
    working.kill()
    crew.join(5)
    providers.close()
    consumer.leave()


@pytest.mark.slow
def test_a_provider_that_does_not_answer_for_seconds_holds_up_no_other_and_is_not_run_over(
    town: Town, sandbox: Sandbox, dispatcher: Dispatcher
) -> None:
    apple, google = phones(town, "chat"), phones(town, "droid")
    told_at: dict[str, list[float]] = {"before": [], "during": []}
    most_under_way = 0
    for phase, rounds in (("before", 20), ("during", 60)):
        if phase == "during":
            sandbox.arm_apns(action="ignore")
        seen = sandbox.record.last_seq
        for _ in range(rounds):
            next(apple).gets()
            at = time.time() * 1000
            next(google).gets()
            (push,) = sandbox.record.wait(seen, timeout_s=10, provider="fcm")[-1:]
            seen = push.seq
            told_at[phase].append(push.received_at - at)
            most_under_way = max(most_under_way, dispatcher.under_way)
            gevent.sleep(0.05)
    sandbox.faults.disarm("apns")
    wait_until(lambda: town.events() == 0 and town.retries() == 0, timeout_s=60)
    back = sandbox.record.since(provider="apns", status=200)[20:]
    life = PushLife.of(Pushes(town.journal).counters())

    assert statistics.median(told_at["during"]) < 3 * statistics.median(told_at["before"]) + 50
    assert most_under_way <= 2 * 20
    assert [] == [
        n
        for n, push in enumerate(back)
        if n > 1 + RULES.admitted((push.received_at - back[0].received_at) / 1000 + 0.1)
    ]
    assert (0, 0, 0) == (life.pushes_under_way, life.ended["dead"], life.ended["expired"])
    assert {push.token for push in back} >= {f"{number:064x}" for number in range(20, 80)}
