"""Whatever devices and workers do, and whoever dies: nobody sleeps over a message, and the pushes are right."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from gateway.mailbox import keys
from gateway.mailbox.push_life import PushLife
from tests.mailbox.world import JULIET, ROMEO
from tests.property.push_devices import BUCKET, NODE, NURSE
from tests.property.push_parts import Device
from tests.property.push_workers import Workers

EXAMPLES = int(os.environ.get("WAKEGATE_PUSH_EXAMPLES", "15"))

TURNS = 50
"""in so many everything has come to its end"""


class Lifecycle(Workers):
    """All of it, what must be true after every step, and what must be when the workers have done their work."""

    @rule(which=st.integers(0, 9))
    def settle(self, which: int) -> None:
        """Every event is claimed and every push made."""
        if which:
            return
        self.work()
        self.nobody_sleeps_over_a_message()
        self.the_books_are_right()
        self.nothing_is_left()

    @rule(which=st.integers(0, 19))
    def remove(self, which: int) -> None:
        if which:
            return
        self.in_hand.clear()
        for place in [place for place in self.clients if place[0] == NURSE]:
            del self.clients[place]
        self.world.accounts.remove(NURSE)
        for device in self.devices.values():
            if device.user == NURSE:
                device.owed.clear()
        self.work()

        assert [] == [name for name in self.world.redis.scan_iter("*") if NURSE.encode() in name]
        self.world.account(NURSE)

    def teardown(self) -> None:
        try:
            self.work()
            self.nobody_sleeps_over_a_message()
            self.the_books_are_right()
            self.nothing_is_left()
            for user in (JULIET, NURSE):
                self.world.call("displayed", user, ROMEO.partition("/")[0], "", "last")

                assert self.world.call("unread", user)[0] in (0, -1)
        finally:
            super().teardown()

    def work(self) -> None:
        """Workers do what is to be done."""
        for _ in range(TURNS):
            for job in self.in_hand:
                while job.left:
                    self.end(job, job.left.pop(), "delivered")
                self.world.pushes.done(job.event, final=job.is_final)
            self.in_hand.clear()
            self.fall_due()
            for sid in self.ending():
                self.world.sweep.finish(self.world.bucket, sid)
            events = self.world.events()
            if not events:
                return
            for event in events:
                self.take(event)
        raise AssertionError("events without an end")

    def ending(self) -> list[str]:
        found: Any = self.world.redis.smembers(keys.key(BUCKET, "endings"))
        return [sid.decode() for sid in found]

    def nobody_sleeps_over_a_message(self) -> None:
        for device in self.devices.values():
            registration = self.registrations(device.user).get(device.field)
            if registration is None or self.is_consuming(registration.sid):
                continue
            assert max(device.owed & self.waiting_for(device, registration.sid), default=0) <= device.told
        if self.registrations(NODE):
            assert self.published <= self.told_node

    def waiting_for(self, device: Device, sid: str) -> set[int]:
        held = self.numbers_in("queue", sid) | self.numbers_in("backlog", sid)
        return held if self.is_reached(sid) else held | self.numbers_in("offline", device.user) | device.archived

    def the_books_are_right(self) -> None:
        life = PushLife.of(self.counters())

        assert (0, 0) == (life.events_waiting, life.pushes_under_way)
        assert sum(len(workers) - 1 for workers in self.asked.values()) <= life.repeated

    def nothing_is_left(self) -> None:
        assert not self.world.redis.zcard(keys.key(BUCKET, "retries"))
        assert not self.world.redis.xlen(keys.key(BUCKET, "events"))

    @invariant()
    def the_books_are_never_overdrawn(self) -> None:
        life = PushLife.of(self.counters())

        assert life.events_waiting >= 0
        assert life.pushes_under_way >= 0

    @invariant()
    def nothing_of_the_work_is_kept_for_ever(self) -> None:
        names: Any = self.world.redis.keys("*job:*")
        for name in names:
            assert self.world.redis.ttl(name) > 0


def test_nobody_sleeps_over_a_message_and_the_books_are_right(redis_url: str) -> None:
    machine = type("Lifecycle", (Lifecycle,), {"url": redis_url})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
