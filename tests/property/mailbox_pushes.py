"""What Hypothesis does to push registrations and events, on the real server and in the model."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from gateway.mailbox import keys
from gateway.mailbox.push_state import device_of
from gateway.mailbox.pushes import Cancelled, Event, Registration, Send
from tests.mailbox.world import JULIET, waited
from tests.property.mailbox_machine import RESOURCES, Device, some
from tests.property.mailbox_parts import Copy, Session
from tests.property.mailbox_sessions import Sessions


class Pushes(Sessions):
    """Registrations and events."""

    # pushes

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, token=st.sampled_from("tu"))
    def register(self, n: int, token: str) -> None:
        session = self.session(n)
        answer = self.client(session).register(token=token)
        self.devices[f"push.localhost\n{session.resource}"] = Device(session.resource, session.sid, token)
        self.relink()

        assert "ok" == answer

    def unregister(self, n: int) -> None:
        resource = RESOURCES[n % 2]
        gone = waited(
            lambda done: self.world.mailbox.unregister(user=JULIET, service="push.localhost", node=resource, done=done)
        )
        was = self.devices.pop(f"push.localhost\n{resource}", None)
        self.relink()

        assert int(was is not None) == gone

    @precondition(lambda self: self.has_events)
    @rule(n=some, after=st.sampled_from(["delivered", "delivered", "retry", "dead", "crash"]))
    def claim(self, n: int, after: str) -> None:
        events = self.world.events()
        event = events[n % len(events)]
        answer = self.world.pushes.claim(event, floor_ms=0)
        session = next((s for s in self.model.sessions.values() if s.sid == event.sid), None)
        if isinstance(answer, Cancelled):
            self.cancelled(event, answer, session)
            return
        assert isinstance(answer, Send)
        copies = session.queue + session.backlog if session else self.model.offline
        assert session is None or not session.is_consuming
        # what only the archive keeps for devices without a session counts beside what is stored
        archived = 0 if session else int(self.world.hash("account", JULIET).get("idle_important", 0))
        assert answer.count == archived + sum(copy.message.wakes for copy in copies) > 0
        if not event.only:
            self.tell(copies)
        for registration in answer.registrations:
            self.push(event, registration, after)
        if after != "crash":
            self.world.pushes.done(event, final=after != "retry")

    def cancelled(self, event: Event, answer: Cancelled, session: Session | None) -> None:
        if answer.reason not in ("no-registration", "done"):
            return
        for field, device in self.devices.items():
            meant = device.sid == event.sid if event.sid else not self.has_session(device.sid)
            if event.only:
                meant = field == event.only and (device.sid == event.sid or not self.has_session(device.sid))
            done = self.world.redis.hexists(keys.key(self.world.at, "job", event.id), device_of(JULIET, field))
            assert not meant or done or event.id in self.pushed
        if not event.only:
            self.tell(session.queue + session.backlog if session else self.model.offline)

    def push(self, event: Event, registration: Registration, after: str) -> None:
        self.pushed.add(event.id)
        if after == "retry":
            self.world.pushes.retry(event, registration, wait_ms=0)
        elif after != "crash":
            is_gone = self.world.pushes.outcome(event, registration, after, dead=after == "dead")
            assert (after == "dead") is is_gone
            if is_gone:
                del self.devices[registration.field]
                self.relink()

    @staticmethod
    def tell(copies: list[Copy]) -> None:
        for copy in copies:
            copy.is_told = True

    def chores(self) -> None:
        self.world.sweep.chores(self.world.bucket)
