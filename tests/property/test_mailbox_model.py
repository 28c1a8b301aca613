"""Any sequence of mailbox operations on the real server agrees with a plain Python model of the mailbox."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.mailbox import keys, library
from gateway.mailbox.model import NotResumed, Origin, Resumed
from gateway.mailbox.pushes import Cancelled, Event, Registration, Send
from tests.mailbox.world import JULIET, Client, World, waited
from tests.property.mailbox_model import QUEUE, QUOTA, Copy, Message, Model, Session

RESOURCES = ("phone", "a|b %s '\"\n x")
CHAT = ("m", "chat", "swb")
ODD = (
    ("m", "chat", "sb"), ("m", "chat", "swub"), ("m", "chat", ""), ("m", "headline", ""), ("m", "groupchat", "sb"),
    ("m", "error", ""), ("q", "get", "b"), ("q", "get", "b"), ("r", "result", ""), ("p", "", ""),
)  # fmt: skip
OLD_KEPT = 1000

some = st.integers(0, 10**6)


@dataclass
class Device:
    """A registration, as the model knows it."""

    resource: str
    sid: str
    token: str


class Mailboxes(RuleBasedStateMachine):
    """Two nodes share one account. `url`, `resend` and `piece` are set by the test."""

    url = ""
    resend: Any = "if_offline"
    piece = 1000

    def __init__(self) -> None:
        super().__init__()
        self.worlds = [
            World(self.url, node=node, queue=QUEUE, quota=QUOTA, resend=self.resend, old=OLD_KEPT)
            for node in ("n1", "n2")
        ]
        self.world = self.worlds[0]
        self.world.redis.flushall()
        self.world.journal.call("FUNCTION", "LOAD", "REPLACE", library.source())
        self.model = Model(str(self.resend).lower(), self.piece)
        self.clients: dict[str, Client] = {}  # by sid
        self.strangers: list[Client] = []  # grips that are stale
        self.devices: dict[str, Device] = {}  # by registration field
        self.must_push: dict[int, Copy] = {}
        self.seen_offline: set[int] = set()
        self.numbers = itertools.count(1)
        self.origins = itertools.count(1)
        self.last_taken: tuple[int, tuple[Any, ...]] | None = None
        self.pushed: set[str] = set()
        self.has_events = False

    def teardown(self) -> None:
        for world in self.worlds:
            world.close()

    # helpers

    def session(self, n: int) -> Session:
        return list(self.model.sessions.values())[n % len(self.model.sessions)]

    def client(self, session: Session) -> Client:
        return self.clients[session.sid]

    def relink(self) -> None:
        for session in self.model.sessions.values():
            session.is_linked = any(device.sid == session.sid for device in self.devices.values())

    def has_session(self, sid: str) -> bool:
        return any(session.sid == sid for session in self.model.sessions.values())

    def body(self, kind: str = "m") -> bytes:
        return b"<%s n='%d'/>" % (kind.encode(), next(self.numbers))

    def ended(self, sid: str) -> None:
        self.strangers.append(self.clients.pop(sid))

    # accounts

    @initialize()
    def create(self) -> None:
        assert self.world.accounts.create(JULIET, {"a": "b"}) is not self.model.exists
        self.model.exists = True

    @precondition(lambda self: not self.model.exists)
    @rule()
    def create_again(self) -> None:
        self.create()

    @precondition(lambda self: self.model.exists)
    @rule(resource=st.sampled_from(RESOURCES), n=some, odd=st.integers(0, 7))
    def arrive(self, resource: str, n: int, odd: int) -> None:
        """What nearly every client does at first, but for one step now and then."""
        self.bind(resource, n, smacks=odd != 0)
        mine = list(self.model.sessions).index(resource)
        if odd != 1:
            self.register(mine, "t")
        if odd != 2:
            self.presence(mine, 0)

    def remove(self) -> None:
        if not self.model.exists:
            return
        expected = {session.sid for session in self.model.sessions.values()}
        left = self.world.call("remove", JULIET)
        self.model.remove()
        self.devices.clear()
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

        assert (session.tail, former) == (tail, was)

    @precondition(lambda self: self.model.sessions)
    @rule(n=some)
    def hibernate(self, n: int) -> None:
        awake = [s for s in self.model.sessions.values() if not s.is_asleep]
        session = awake[n % len(awake)] if awake else self.session(n)
        answer = self.client(session).hibernate()
        session.is_asleep = session.is_asleep or session.is_resumable

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
        self.world.call("reap", name, 100, 1000, QUEUE, QUOTA, OLD_KEPT, self.model.resend)
        for session in owned:
            session.epoch += 1
            self.strangers.append(self.clients[session.sid])
            if session.is_resumable:
                session.is_asleep = True
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

    # stanzas

    @rule(n=st.integers(1, 4), resource=st.sampled_from(("", "", "", *RESOURCES)))
    def chat(self, n: int, resource: str) -> None:
        for _ in range(n):
            self.deliver(CHAT, resource, twice=False)

    @rule(kind=st.sampled_from(ODD), resource=st.sampled_from(("", *RESOURCES)), twice=st.booleans())
    def deliver(self, kind: tuple[str, str, str], resource: str, twice: bool) -> None:
        count = next(self.origins)
        stanza = (resource, *kind, self.body(kind[0]))
        status, took = self.model.deliver(resource, *kind, stanza[-1], "romeo@localhost/o")
        answer = self.send(stanza, count)
        is_taken = status not in ("bounce", "full", "no-account")
        if is_taken:
            self.last_taken = (count, stanza)
            if twice:
                assert "duplicate" == self.send(stanza, count).status

        assert (status, took) == (answer.status, {placed.sid: placed.position for placed in answer.placed})

    def send(self, stanza: tuple[Any, ...], count: int) -> Any:
        resource, kind, type_, flags, body = stanza
        return self.world.deliver(
            body, to=resource, kind=kind, type=type_, flags=flags, sender="romeo@localhost/o",
            origin=Origin("romeo-1", count, 600_000),
        )  # fmt: skip

    def deliver_what_was_taken(self) -> None:
        if self.last_taken is None or not self.model.exists:
            return
        count, stanza = self.last_taken

        assert "duplicate" == self.send(stanza, count).status

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, kind=st.sampled_from("mqr"), new=st.booleans())
    def append(self, n: int, kind: str, new: bool) -> None:
        session = self.session(n)
        inbound = session.h + 1 if new else session.h
        body = self.body("own")
        answer = self.client(session).append(body, kind=kind, inbound=inbound)
        if not new:
            assert ("duplicate", 0, session.tail) == answer
            return
        expected = self.model.put(session, Message(body, kind, ""), ahead=True)
        if isinstance(expected, int):
            session.h = inbound
            self.model.fates["accepted"] += kind == "m"
            assert ("ok", expected, session.tail) == answer
        else:
            assert expected == answer[0]

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, portion=some)
    def ack(self, n: int, portion: int) -> None:
        session = self.session(n)
        upto = session.acked + 1 + portion % (len(session.queue) or 1) if session.queue else session.acked
        answer = self.client(session).ack(upto)
        self.model.ack(session, upto)

        assert ("ok", session.tail) == answer

    def ack_too_much(self, n: int) -> None:
        if not self.model.sessions:
            return
        session = self.session(n)

        assert ("too-high", session.tail) == self.client(session).ack(session.tail + 1 + n % 3)

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, is_overdue=st.booleans())
    def overdue(self, n: int, is_overdue: bool) -> None:
        session = self.session(n)
        self.client(session).overdue(is_overdue)
        was, session.is_overdue = session.is_overdue, is_overdue
        if was and not is_overdue:
            self.model.catch_up(session)

    def handled(self, n: int) -> None:
        if not self.model.sessions:
            return
        session = self.session(n)
        session.h += n % 3

        assert self.client(session).handled(session.h)

    def a_stale_owner_changes_nothing(self, n: int) -> None:
        if not self.strangers:
            return
        stale = self.strangers[n % len(self.strangers)]

        assert "stale" == stale.ack(10**6)[0]
        assert "stale" == stale.append(b"<stale/>")[0]
        assert "stale" == stale.hibernate()
        assert not stale.handled(10**6)
        assert stale.presence(1) is None
        assert b"stale" == stale.overdue()
        assert "stale" == stale.register(token="stale")

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
        assert answer.count == sum(copy.message.wakes for copy in copies) > 0
        if not event.only:
            self.tell(copies)
        for registration in answer.registrations:
            self.push(event, registration, after)
        if after != "crash":
            self.world.pushes.done(event, final=after != "retry")

    def cancelled(self, event: Event, answer: Cancelled, session: Session | None) -> None:
        if answer.reason != "no-registration":
            return
        for field, device in self.devices.items():
            meant = device.sid == event.sid if event.sid else not self.has_session(device.sid)
            if event.only:
                meant = field == event.only and (device.sid == event.sid or not self.has_session(device.sid))
            done = self.world.redis.hexists(keys.key(self.world.at, "job", event.id), field)
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

    @rule(n=some, which=st.integers(0, 15))
    def seldom(self, n: int, which: int) -> None:
        """What would drown the rest if it came as often."""
        rare = {0: self.remove, 1: self.chores, 2: self.deliver_what_was_taken}
        by_number = (self.reap, self.ack_too_much, self.handled, self.a_stale_owner_changes_nothing, self.unregister)
        if which in rare:
            rare[which]()
        else:
            by_number[which % len(by_number)](n)

    # what must be true after every step

    @invariant()
    def the_store_agrees(self) -> None:
        model, at = self.model, self.world.at
        with self.world.redis.pipeline() as pipe:
            for session in model.sessions.values():
                pipe.hgetall(keys.key(at, "session", session.sid))
                pipe.lrange(keys.key(at, "queue", session.sid), 0, -1)
                pipe.lrange(keys.key(at, "backlog", session.sid), 0, -1)
                pipe.hgetall(keys.key(at, "presence", session.sid))
            pipe.lrange(keys.key(at, "offline", JULIET), 0, -1)
            pipe.hgetall(keys.key(at, "fates"))
            pipe.smembers(keys.key(at, "endings"))
            pipe.hgetall(keys.key(at, "resources", JULIET))
            pipe.hgetall(keys.key(at, "old", JULIET))
            pipe.xrange(keys.key(at, "outbox"))
            *of_sessions, offline, fates, endings, resources, old, outbox = pipe.execute()

        for i, session in enumerate(model.sessions.values()):
            marks, queue, backlog, aside = of_sessions[4 * i : 4 * i + 4]
            mark = {name.decode(): value.decode() for name, value in marks.items()}
            assert (session.acked, session.tail, len(session.backlog)) == tuple(
                int(mark[m]) for m in ("acked", "tail", "back")
            )
            assert (session.epoch, session.h) == (int(mark["epoch"]), int(mark["h"]))
            assert ("asleep" if session.is_asleep else "live") == mark["state"]
            assert ("1" if session.is_linked else "0") == mark["reg"]
            assert [copy.message.body for copy in session.queue] == bodies(queue)
            assert [copy.message.body for copy in session.backlog] == bodies(backlog)
            assert session.aside == {name.decode(): value for name, value in aside.items()}
        assert [copy.message.body for copy in model.offline] == bodies(offline)
        assert {ending.sid for ending in model.endings} == {sid.decode() for sid in endings}
        assert {s.resource: s.sid for s in model.sessions.values()} == {
            r.decode(): s.decode() for r, s in resources.items()
        }
        assert model.old == {sid.decode(): int(h) for sid, h in old.items()}
        assert sorted(model.bounced) == sorted(fields[b"stanza"] for _, fields in outbox)
        assert {name: n for name, n in model.fates.items() if n} == {name.decode(): int(n) for name, n in fates.items()}

    @invariant()
    def fates_add_up(self) -> None:
        fates = self.model.fates

        assert fates["accepted"] == fates["acked"] + fates["bounced"] + fates["dropped"] + self.model.waiting()

    @invariant()
    def whoever_must_be_woken_has_an_event(self) -> None:
        model, at = self.model, self.world.at
        members: Any = self.world.redis.zrange(keys.key(at, "retries"), 0, -1)
        retries = [msgspec.json.decode(member) for member in members]
        events = self.world.events()
        self.has_events = bool(events)
        pending = {(event.sid, event.gen) for event in events if not event.only}
        pending |= {(retry["sid"], retry["gen"]) for retry in retries if not retry.get("only")}
        for session in model.sessions.values():
            if session.must_wake():
                assert (session.sid, self.client(session).marks()["gen"]) in pending

        lacking = [device for device in self.devices.values() if not self.has_session(device.sid)]
        for copy in model.offline:
            if id(copy) not in self.seen_offline:
                self.seen_offline.add(id(copy))
                if lacking:
                    self.must_push[id(copy)] = copy
        due = [c for c in model.offline if id(c) in self.must_push and c.message.wakes and not c.is_told]
        if due and lacking and not model.endings:
            assert ("", self.world.hash("account", JULIET)["offline_gen"]) in pending


def bodies(entries: list[bytes]) -> list[bytes]:
    return [entry.split(b"|", 3)[3] for entry in entries]


EXAMPLES = int(os.environ.get("WAKEGATE_MODEL_EXAMPLES", "100"))


@pytest.mark.parametrize(
    ("resend", "piece"),
    [("if_offline", 1000), (True, 1000), (False, 1000), ("if_offline", 1), (True, 2)],
    ids=["if_offline", "true", "false", "if_offline-in-pieces", "true-in-pieces"],
)
def test_any_sequence_of_operations_agrees_with_the_model(
    redis_url: str, resend: Any, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = library.source()
    small = source.replace("PIECE, PIECE_BYTES = 1000,", f"PIECE, PIECE_BYTES = {piece},")
    assert piece == 1000 or small != source
    monkeypatch.setattr(library, "source", lambda: small)
    machine = type("Mailboxes", (Mailboxes,), {"url": redis_url, "resend": resend, "piece": piece})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
