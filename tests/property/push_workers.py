"""What push workers do, two at once and dying, while Hypothesis watches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from gateway.mailbox import keys
from gateway.mailbox.pushes import Cancelled, Event, Registration, Send, Told
from tests.property.push_devices import BUCKET, NODE, Devices, some
from tests.property.push_parts import Call, InHand

FOR_NOTHING = ("call-ended", "wake")
NOT_ASKED = ("put-off", "expired", "skipped:muted")
"""what becomes of a push of which no provider hears"""


class Workers(Devices):
    """Events in the hands of workers. One event may be in several: the first of them was taken for dead."""

    @precondition(lambda self: self.has_events())
    @rule(
        n=some,
        floor_ms=st.sampled_from([0, 0, 60_000]),
        grace_ms=st.sampled_from([0, 0, 60_000]),
        twice=st.sampled_from([False, False, True]),
    )
    def claim(self, n: int, floor_ms: int, grace_ms: int, twice: bool) -> None:
        events = self.world.events()
        event = events[n % len(events)]
        self.take(event, floor_ms, grace_ms)
        if twice:
            self.take(event, floor_ms, grace_ms)

    def has_events(self) -> bool:
        return bool(self.world.redis.xlen(keys.key(BUCKET, "events")))

    def take(self, event: Event, floor_ms: int = 0, grace_ms: int = 0) -> None:
        answer = self.world.pushes.claim(event, floor_ms=floor_ms, active_grace_ms=grace_ms)
        if isinstance(answer, Cancelled):
            if answer.reason in ("read-elsewhere", "call-answered"):
                for device in self.devices.values():
                    if device.user == event.user:
                        device.told = self.newest
        elif isinstance(answer, Send):
            for registration in answer.registrations:
                assert not self.is_consuming(registration.sid)
            assert answer.count > 0 or event.kind in FOR_NOTHING
            assert (answer.unread or 0) >= 0
            self.in_hand.append(InHand(next(self.numbers), event, answer, self.newest, list(answer.registrations)))

    @precondition(lambda self: self.has_events())
    @rule(
        n=some,
        what=st.sampled_from(["delivered", "retry", "put-off", "skipped:muted", ""]),
        is_alive=st.booleans(),
    )
    def push(self, n: int, what: str, is_alive: bool) -> None:
        """A whole event at once, by a worker that dies before it can say so, or does not."""
        events, before = self.world.events(), len(self.in_hand)
        self.take(events[n % len(events)])
        for job in self.in_hand[before:]:
            for registration in job.left if what else ():
                self.end(job, registration, what)
            if is_alive and what:
                self.world.pushes.done(job.event, final=job.is_final)
        del self.in_hand[before:]

    @precondition(lambda self: self.in_hand)
    @rule(
        n=some,
        what=st.sampled_from(
            ["delivered", "delivered", "token-gone", "refused", "dead", "expired", "skipped:muted", "retry", "put-off"]
        ),
        twice=st.booleans(),
    )
    def conclude(self, n: int, what: str, twice: bool) -> None:
        job = self.in_hand[n % len(self.in_hand)]
        if not job.left:
            return
        registration = job.left.pop()
        for _ in range(1 + twice):
            self.end(job, registration, what)

    def end(self, job: InHand, registration: Registration, what: str) -> None:
        if what not in NOT_ASKED:
            self.asked.setdefault((job.event.id, registration.field, job.event.attempt), set()).add(job.number)
        event, call = job.event, job.answer.call if job.answer.kind == "call" else ""
        before = self.counted(what) if what != "retry" else 0
        if what in ("retry", "put-off"):
            job.is_final = False
            told = Told(is_tried=what == "retry", why="503")
            self.world.pushes.retry(event, registration, wait_ms=60_000, told=told)
            return
        with self.ringing(call, event.user, registration, what):
            is_gone = self.world.pushes.outcome(
                event, registration, what, dead=what == "token-gone", told=Told(call=call, provider="apns")
            )
        assert not is_gone or what == "token-gone"
        if what == "dead" and self.counted(what) > before:
            self.world.pushes.bury(event, registration, "given up")
        if event.kind in FOR_NOTHING:
            return
        for device in self.devices.values():
            if (device.user, device.field) == (event.user, registration.field):
                device.told = max(device.told, job.upto)
        if event.user == NODE:
            self.told_node = max(self.told_node, job.upto)

    def counted(self, name: str) -> int:
        return self.counters().get(name, 0)

    @precondition(lambda self: any(not job.left for job in self.in_hand))
    @rule(twice=st.booleans())
    def done(self, twice: bool) -> None:
        job = next(job for job in self.in_hand if not job.left)
        self.in_hand.remove(job)
        for _ in range(1 + twice):
            self.world.pushes.done(job.event, final=job.is_final)

    @precondition(lambda self: self.in_hand)
    @rule(n=some)
    def die(self, n: int) -> None:
        del self.in_hand[n % len(self.in_hand)]

    @rule()
    def fall_due(self) -> None:
        key = keys.key(BUCKET, "retries")
        members: Any = self.world.redis.zrange(key, 0, -1)
        for member in members:
            self.world.redis.zadd(key, {member: 0})
        self.world.sweep.chores(self.world.bucket)

    @rule(twice=st.booleans())
    def replay(self, twice: bool) -> None:
        for letter, fields in self.world.pushes.dead_letters()[:1]:
            self.asked.pop((fields["id"], fields["only"], 0), None)  # it is a push of its own
            for _ in range(1 + twice):
                self.world.pushes.replay(letter, fields)

    # calls

    def ended_calls(self) -> list[tuple[str, str]]:
        """Each call and registration for which an event stands on the stream that tells its end."""
        found = []
        for event in self.world.events():
            if event.kind == "call-ended" and not event.only:
                found += [(event.call, field) for field in json.loads(event.rang)]
        return sorted(found)

    @contextmanager
    def ringing(self, id_: str, user: str, registration: Registration, what: str) -> Iterator[None]:
        """A device is told of a call: perhaps it is over by now."""
        call, before, delivered = self.calls.get(id_), self.ended_calls(), self.counted("delivered")
        yield
        is_new = what == "delivered" and self.counted("delivered") > delivered
        if call is None or not is_new or not self.exists(user):
            assert before == self.ended_calls()
        elif call.is_over:
            assert sorted([*before, (id_, registration.field)]) == self.ended_calls()
        else:
            call.rang.add(registration.field)
            assert before == self.ended_calls()

    @contextmanager
    def telling_the_end(self, call: Call, except_sid: str) -> Iterator[None]:
        """Exactly those that rang, and are registered, are told; not the device that has ended it."""
        before, registered = self.ended_calls(), self.registrations(call.user)
        yield
        told = {field for field in call.rang if field in registered and registered[field].sid != (except_sid or None)}
        if call.is_over:
            told = set()
        call.is_over, call.rang = True, set()

        assert sorted([*before, *((call.id, field) for field in told)]) == self.ended_calls()
