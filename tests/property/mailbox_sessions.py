"""What Hypothesis does to accounts and sessions, on the real server and in the model."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from gateway.mailbox import keys
from gateway.mailbox.model import NotResumed, Resumed
from tests.mailbox.world import JULIET
from tests.property.mailbox_machine import OLD_KEPT, Stanzas, some
from tests.property.mailbox_parts import QUEUE, QUOTA


class Sessions(Stanzas):
    """Accounts and sessions."""

    # accounts

    @initialize()
    def create(self) -> None:
        assert self.world.accounts.create(JULIET, {"a": "b"}) is not self.model.exists
        self.model.exists = True

    @precondition(lambda self: not self.model.exists)
    @rule()
    def create_again(self) -> None:
        self.create()

    def remove(self) -> None:
        if not self.model.exists:
            return
        expected = {session.sid for session in self.model.sessions.values()}
        left = self.world.call("remove", JULIET)
        self.model.remove()
        self.devices.clear()
        self.ids.clear()
        for sid in expected:
            self.ended(sid)

        assert expected == {sid.decode() for sid in left[1::2]}

    # sessions

    def bind(self, resource: str, n: int, smacks: bool) -> None:
        world = self.worlds[n % 2]
        sid = world.name("sid")
        client = world.bind(resource, sid=sid)
        for device in self.devices.values():
            if device.resource == resource:
                device.sid = sid
        replaced = self.model.bind(resource, sid, world.node, linked=False)
        self.clients[sid] = client
        if replaced:
            self.ended(replaced)
        if smacks:
            client.enable()
            self.model.sessions[resource].is_resumable = True
        self.relink()

        assert replaced == client.bound.replaced

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, priority=st.sampled_from([None, -1, 0, 0, 0, 5]))
    def presence(self, n: int, priority: int | None) -> None:
        session = self.session(n)
        body = self.body("presence")
        former = session.priority
        tail, was, _placed = self.client(session).presence(priority, body)
        self.model.presence(session, priority, body)

        assert (session.visible, former) == (tail, was)

    @precondition(lambda self: self.model.sessions)
    @rule(n=some)
    def hibernate(self, n: int) -> None:
        awake = [s for s in self.model.sessions.values() if not s.is_asleep]
        session = awake[n % len(awake)] if awake else self.session(n)
        answer = self.client(session).hibernate()
        if session.is_resumable and not session.is_asleep:
            session.is_asleep, session.is_inactive = True, False

        assert ("ok" if session.is_resumable else "not-resumable") == answer

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, messages=st.integers(0, 3))
    def sleep(self, n: int, messages: int) -> None:
        """A link that breaks while messages come."""
        self.chat(messages, "")
        self.hibernate(n)

    @precondition(lambda self: self.model.sessions)
    @rule(
        n=some,
        how=st.sampled_from(["right", "right", "lower", "higher", "twice"]),
        portion=some,
        node=st.integers(0, 1),
    )
    def resume(self, n: int, how: str, portion: int, node: int) -> None:
        session, world = self.session(n), self.worlds[node]
        client = self.client(session)
        h = session.acked + portion % (len(session.queue) + 1)
        if how == "lower":
            h = (session.acked - 1) % 2**32
        elif how == "higher":
            h = session.tail + 1 + portion % 3
        owner = world.name("owner")
        answer = client.resume(h, owner=owner, world=world)
        if not session.is_resumable:
            assert NotResumed() == answer
            return
        if how in ("lower", "higher"):
            assert NotResumed(h=session.h, tail=session.tail) == answer
            return
        former = session.node if not session.is_asleep else ""
        self.model.resume(session, h, world.node)
        if how == "twice":
            assert answer == client.resume(h, owner=owner, world=world)
        assert isinstance(answer, Resumed)
        self.strangers.append(client)
        self.clients[session.sid] = client.taken_over(answer, world)

        assert (session.epoch, session.h, h, session.tail, former) == (
            answer.grip.epoch, answer.inbound, answer.acked, answer.tail, answer.former_node
        )  # fmt: skip

    @precondition(lambda self: self.model.sessions)
    @rule(n=some)
    def close(self, n: int) -> None:
        session = self.session(n)
        grip = self.client(session).grip
        self.world.call("close", grip.sid, grip.epoch, self.model.resend, QUEUE, QUOTA, OLD_KEPT)
        self.model.end(session)
        self.first_piece(session.sid)
        self.ended(session.sid)

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, is_due=st.booleans())
    def expire(self, n: int, is_due: bool) -> None:
        session = self.session(n)
        if is_due and session.is_asleep:
            self.world.redis.hset(keys.key(self.world.at, "session", session.sid), "deadline", 1)
        answer = self.world.call("expire", session.sid, self.model.resend, QUEUE, QUOTA, OLD_KEPT)
        if is_due and session.is_asleep:
            self.model.end(session)
            self.first_piece(session.sid)
            self.ended(session.sid)
        else:
            assert [b"kept"] == answer

    def reap(self, n: int) -> None:
        name = self.worlds[n % 2].node
        owned = [s for s in self.model.sessions.values() if not s.is_asleep and s.node == name]
        if len(owned) > 1:
            return  # the order in which a node's sessions are reaped is Redis' own
        self.world.call("reap", name, 100, 1000, QUEUE, QUOTA, OLD_KEPT, self.model.resend, 0)
        for session in owned:
            session.epoch += 1
            self.strangers.append(self.clients[session.sid])
            if session.is_resumable:
                session.is_asleep, session.is_inactive = True, False
                client = self.clients[session.sid]
                grip = replace(client.grip, epoch=session.epoch)
                self.clients[session.sid] = replace(client, grip=grip)
            else:
                self.model.end(session)
                self.clients.pop(session.sid)

    def first_piece(self, sid: str) -> None:
        ending = next(e for e in self.model.endings if e.sid == sid)
        self.model.settle(ending)

    @precondition(lambda self: self.model.endings)
    @rule(n=some)
    def finish(self, n: int) -> None:
        ending = self.model.endings[n % len(self.model.endings)]
        answer = self.world.call("finish", ending.sid, self.model.resend, QUEUE, QUOTA)

        assert (b"done" if self.model.settle(ending) else b"more") == answer[0]
