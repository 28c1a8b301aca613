"""Ten minutes in seconds: a push worker's parts with a clock that a test moves, on a real Redis, at a real sandbox.

What waits in Redis falls due by the same clock. Sends themselves take no simulated time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import gevent

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import STREAMS, Event, Pushes
from tests.push.sleeping import Phone, Town
from workers.consumer import Consumer, Entry
from workers.push.apps import Apps
from workers.push.dispatcher import Dispatcher
from workers.push.settings import PushSettings
from workers.push.token_store import LocalTokenStore
from workers.sandbox.server import Sandbox

RETRIES = [keys.key(keys.bucket_prefix(bucket), "retries") for bucket in STREAMS.values()]


class _Postponed(Pushes):
    """Retries are due when the simulated time has come: Redis' own clock is behind by `ahead_s`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.ahead_s = 0.0

    def retry(self, *arguments: Any, wait_ms: int, **more: Any) -> None:
        """See `Pushes`."""
        super().retry(*arguments, wait_ms=wait_ms + int(self.ahead_s * 1000), **more)


@dataclass
class Second:
    """What happened in one simulated second: requests that each provider got, what waited in Redis at its end, and how
    long each of Google's pushes took from its message to Google, in real ms.
    """

    at: int
    requests: dict[str, int]
    retries: int
    under_way: int
    google_ms: list[float] = field(default_factory=list)


class Simulation:
    """`step` is one second."""

    def __init__(self, town: Town, sandbox: Sandbox, settings: PushSettings) -> None:
        self._town = town
        self._sandbox = sandbox
        self._began = time.time()
        self._pushes = _Postponed(town.journal)
        self.now = 0
        clock = self._clock
        # Tokens are of real time: the sandbox judges them.
        self.apps = Apps(settings, store=LocalTokenStore(), monotonic=lambda: float(self.now))
        self.dispatcher = Dispatcher(self._pushes, self.apps, settings=settings, clock=clock)
        self._consumer = Consumer(
            town.url, streams=tuple(STREAMS), group=keys.CONSUMER_GROUP, name="w", claim_after_s=3600.0
        )

    def _clock(self) -> float:
        return self._began + self.now

    def step(self, woken: list[Phone]) -> Second:
        """Messages for these phones; then everything that is due, until nothing is left to do in this second."""
        self.now += 1
        self._pushes.ahead_s = self._clock() - time.time()
        before, seen = self._counted(), self._sandbox.record.last_seq
        gevent.joinall([gevent.spawn(phone.gets) for phone in woken], raise_error=True)
        raised_ms = time.time() * 1000
        self._let_fall_due()
        underway = 0
        while events := [self._read(entry) for entry in self._consumer.read(6400, block_s=0.001)]:
            handled = [gevent.spawn(self.dispatcher.handle, event) for event in events]
            gevent.sleep(0)
            underway = max(underway, self.dispatcher.under_way)
            gevent.joinall(handled, raise_error=True)
        google = [push.received_at - raised_ms for push in self._sandbox.record.since(seen, provider="fcm")]
        requests = {name: count - before[name] for name, count in self._counted().items()}
        return Second(self.now, requests, self._town.retries(), underway, google)

    def _read(self, entry: Entry) -> Event:
        """An event that is new was raised by Redis' clock."""
        event = Event.read(STREAMS[entry.stream], entry.id, entry.fields)
        return event if event.only else replace(event, at_ms=int(self._clock() * 1000))

    def _counted(self) -> dict[str, int]:
        return {name: self._sandbox.record.counters[f"{name}_pushes"] for name in ("apns", "fcm")}

    def _let_fall_due(self) -> None:
        now_ms = self._clock() * 1000
        journal = self._town.journal
        due = journal.call_all([("ZRANGEBYSCORE", name, "-inf", str(now_ms)) for name in RETRIES])
        journal.call_all(
            [("ZADD", name, 0, event) for name, events in zip(RETRIES, due, strict=True) for event in events]
        )
        for bucket, events in zip(STREAMS.values(), due, strict=True):
            for _ in range(0, len(events), 100):
                self._town.sweep.chores(bucket)

    def close(self) -> None:
        """Close the connections."""
        self.apps.close()
        self._consumer.leave()
