"""What Hypothesis does to a mailbox on the real server and to its model: its ground, and stanzas."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from gateway.mailbox import keys, library
from gateway.mailbox.model import Delivery, Origin
from gateway.xmpp.stanza import end_tag_at
from tests.mailbox.world import JULIET, ROMEO, Client, World
from tests.property.mailbox_model import Model
from tests.property.mailbox_parts import QUEUE, QUOTA, Copy, Message, Session

RESOURCES = ("phone", "a|b %s '\"\n x")
OLD_KEPT = 1000
ROMEO_BARE = "romeo@localhost"
NURSE = "nurse@localhost"
"""somebody else with an account, in another bucket"""
CHAT = ("m", "chat", "swbca")
ODD = (
    ("m", "chat", "sb"), ("m", "chat", "swubc"), ("m", "chat", "ch"), ("m", "chat", "scah"), ("m", "chat", "swba"),
    ("m", "headline", "a"), ("m", "groupchat", "sb"), ("m", "error", "c"), ("q", "get", "b"), ("q", "get", "b"),
    ("r", "result", ""), ("p", "", ""),
)  # fmt: skip
OWN = (CHAT, CHAT, ("m", "chat", "ch"), ("m", "groupchat", "sbca"), ("q", "get", "b"), ("p", "", ""))

some = st.integers(0, 10**6)


@dataclass
class Device:
    """A registration, as the model knows it."""

    resource: str
    sid: str
    token: str


class Stanzas(RuleBasedStateMachine):
    """Two nodes share one account. `url`, `resend`, `piece` and `is_sharded` are set by the test."""

    url = ""
    resend: Any = "if_offline"
    piece = 1000
    is_sharded = False

    def __init__(self) -> None:
        super().__init__()
        self.worlds = [
            World(self.url, node=node, queue=QUEUE, quota=QUOTA, resend=self.resend, old=OLD_KEPT)
            for node in ("n1", "n2")
        ]
        for world in self.worlds:
            world.journal.is_sharded = self.is_sharded
        self.world = self.worlds[0]
        self.world.redis.flushall()
        self.world.journal.call("FUNCTION", "LOAD", "REPLACE", library.source())
        self.world.account(NURSE)
        self.model = Model(str(self.resend).lower(), self.piece)
        self.clients: dict[str, Client] = {}  # by sid
        self.strangers: list[Client] = []  # grips that are stale
        self.devices: dict[str, Device] = {}  # by registration field
        self.must_push: dict[int, Copy] = {}
        self.seen_offline: set[int] = set()
        self.numbers = itertools.count(1)
        self.origins = itertools.count(1)
        self.last_taken: tuple[int, tuple[Any, ...]] | None = None
        self.ids: list[str] = []  # of the account's archive, oldest first
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
        name = kind.encode()
        return b"<%s n='%d'></%s>" % (name, next(self.numbers), name)

    def ended(self, sid: str) -> None:
        self.strangers.append(self.clients.pop(sid))

    # stanzas

    @rule(n=st.integers(1, 4), resource=st.sampled_from(("", "", "", *RESOURCES)))
    def chat(self, n: int, resource: str) -> None:
        for _ in range(n):
            self.deliver(CHAT, resource, twice=False)

    @rule(kind=st.sampled_from(ODD), resource=st.sampled_from(("", *RESOURCES)), twice=st.booleans())
    def deliver(self, kind: tuple[str, str, str], resource: str, twice: bool) -> None:
        count = next(self.origins)
        stanza = (resource, *kind, self.body(kind[0]))
        was_blocked = self.model.is_blocking
        status, took, copies = self.model.deliver(resource, *kind, stanza[-1], ROMEO)
        answer = self.send(stanza, count)
        if status not in ("bounce", "full", "no-account") and not was_blocked:
            self.last_taken = (count, stanza)
            if twice:
                assert "duplicate" == self.send(stanza, count).status

        assert (status, took, copies) == outcome(answer)
        self.learn_ids()
        assert (self.ids[-1] if status in TAKEN and "a" in kind[2] else "") == answer.archive_id

    def send(self, stanza: tuple[Any, ...], count: int) -> Delivery:
        resource, kind, type_, flags, body = stanza
        return self.world.deliver(
            body, to=resource, kind=kind, type=type_, flags=flags, sender=ROMEO,
            origin=Origin("romeo-1", count, 600_000),
        )  # fmt: skip

    def deliver_what_was_taken(self) -> None:
        if self.last_taken is None or not self.model.exists:
            return
        count, stanza = self.last_taken

        assert "duplicate" == self.send(stanza, count).status

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, kind=st.sampled_from(OWN), to=st.sampled_from([NURSE, NURSE, JULIET]), twice=st.booleans())
    def say(self, n: int, kind: tuple[str, str, str], to: str, twice: bool) -> None:
        """One of the account's own sessions sends something, to somebody or to its own account."""
        session, body = self.session(n), self.body(kind[0])
        count = session.h + 1
        if to == NURSE and self.is_sharded:
            self.say_across(session, kind, body, count, twice=twice, dies=n % 3 == 0)
            return
        if to == JULIET:
            status, took, copies = self.model.deliver("", *kind, body, session.jid, own=session.sid)
        else:
            status, took, copies = self.nurse_takes(session, kind, body)
        answer = self.from_own(session, kind, to, body, count)
        is_taken = status in TAKEN
        if is_taken:
            session.h = count
            if twice:
                assert "duplicate" == self.from_own(session, kind, to, body, count).status

        assert (status, took, copies, is_taken) == (*outcome(answer), answer.is_kept)
        self.learn_ids()

    def say_across(
        self, session: Session, kind: tuple[str, str, str], body: bytes, count: int, *, twice: bool, dies: bool
    ) -> None:
        """The same to a mailbox in another slot: in three steps, after the first of which the gateway may die."""
        status, took, _ = self.nurse_takes(session, kind, body)
        if status != "blocked-by-you":
            session.h = count
        if not dies:
            answer = self.from_own(session, kind, NURSE, body, count)
            assert (status, took, {}, session.h == count) == (*outcome(answer), answer.is_kept)
        if dies or twice:
            self.dispatch(session, kind, body, count)
            self.worlds[1].mailbox.pick_up(
                self.world.at, JULIET, done=lambda _outcome: None, error_for=lambda _stanza, _flags: None
            )  # fmt: skip
        for world in self.worlds * 3:  # each step is submitted when the one before it was answered
            world.journal.call("PING")
        self.learn_ids()

    def dispatch(self, session: Session, kind: tuple[str, str, str], body: bytes, count: int) -> None:
        grip, limits = self.client(session).grip, self.world.mailbox.limits
        self.world.journal.call(
            "FCALL", library.function("dispatch"), 1, grip.at, NURSE, "", session.jid, grip.sid, count, 600_000, *kind,
            *limits, body, grip.epoch, grip.sid, JULIET, end_tag_at(body), "deliver", keys.prefix(NURSE),
        )  # fmt: skip

    def nurse_takes(
        self, session: Session, kind: tuple[str, str, str], body: bytes
    ) -> tuple[str, dict[str, int], dict[str, int]]:
        """Somebody else's account, without sessions and with an empty offline store."""
        self.world.redis.delete(keys.key(keys.prefix(NURSE), "offline", NURSE))
        if self.model.is_blocking:
            return "blocked-by-you", {}, {}
        if kind[0] == "q" or kind[1] == "groupchat":
            return "bounce", {}, {}
        copies = self.model.sent(session, kind[2], body) if kind[0] == "m" else {}
        return ("offline" if "s" in kind[2] else "dropped"), {}, copies

    def from_own(self, session: Session, kind: tuple[str, str, str], to: str, body: bytes, count: int) -> Delivery:
        client = self.client(session)
        return client.world.deliver(
            body, user=to, kind=kind[0], type=kind[1], flags=kind[2], sender=session.jid,
            origin=Origin(client.sid, count, 600_000, client.grip),
        )  # fmt: skip

    def learn_ids(self) -> None:
        """The archive gave every message of the model's an id, in order, and nothing else."""
        after = f"({self.ids[-1]}" if self.ids else "-"
        found: Any = self.world.redis.xrange(keys.key(self.world.at, "archive", JULIET), after, "+")

        assert self.model.archive[len(self.ids) :] == [fields[b"s"] for _, fields in found]
        self.ids += [id_.decode() for id_, _ in found]

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, kind=st.sampled_from("mqr"), new=st.booleans())
    def append(self, n: int, kind: str, new: bool) -> None:
        session = self.session(n)
        inbound = session.h + 1 if new else session.h
        body = self.body("own")
        answer = self.client(session).append(body, kind=kind, inbound=inbound)
        if not new:
            assert ("duplicate", 0, session.visible) == answer
            return
        expected = self.model.put(session, Message(body, kind, ""), ahead=True)
        if isinstance(expected, int):
            session.h = inbound
            self.model.fates["accepted"] += kind == "m"
            assert ("ok", expected, session.visible) == answer
        else:
            assert expected == answer[0]

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, portion=some)
    def ack(self, n: int, portion: int) -> None:
        session = self.session(n)
        upto = session.acked + 1 + portion % (len(session.queue) or 1) if session.queue else session.acked
        answer = self.client(session).ack(upto)
        self.model.ack(session, upto)

        assert ("ok", session.visible) == answer

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

    # carbons, client state, blocking, archive

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, is_on=st.sampled_from([True, True, False]))
    def carbons(self, n: int, is_on: bool) -> None:
        session = self.session(n)
        session.has_carbons = is_on

        assert self.client(session).carbons(is_on)

    @precondition(lambda self: self.model.sessions)
    @rule(n=some, is_inactive=st.sampled_from([True, True, False]))
    def rest(self, n: int, is_inactive: bool) -> None:
        session = self.session(n)
        self.model.rest(session, is_inactive)

        assert session.visible == self.client(session).rest(is_inactive)

    def block(self, n: int) -> None:
        if not self.model.exists:
            return
        self.model.is_blocking = n % 3 == 0
        key = keys.key(self.world.at, "blocked", JULIET)
        if self.model.is_blocking:
            self.world.redis.sadd(key, ROMEO_BARE, NURSE)
        else:
            self.world.redis.delete(key)

    @precondition(lambda self: self.model.sessions and self.model.archive)
    @rule(n=some, low=some, whole=st.booleans())
    def look_into_the_archive(self, n: int, low: int, whole: bool) -> None:
        """A client asks for what came after some message; `whole`: for everything."""
        session, last = self.session(n), len(self.ids)
        first = 0 if whole else low % (last + 1)
        reached = last if whole else min(last, first + 1 + low % 3)
        ends = [self.ids[at - 1] if at else "0-0" for at in (first, reached)]
        answer = self.client(session).shown(*ends)
        if len(session.queue) >= QUEUE:
            assert b"full" == answer[0]
            return
        session.shown.update(range(first + 1, reached + 1))
        marks = self.client(session).marks()
        session.low = self.number_of(marks.get("arch_low"))
        session.seen = self.number_of(marks.get("arch_high"))
        session.has_looked = "arch_high" in marks

        assert set(range(session.low + 1, session.seen + 1)) <= session.shown
        assert not (whole and last) or (session.low, session.seen) == (0, last)

    def number_of(self, archive_id: str | None) -> int:
        return self.ids.index(archive_id) + 1 if archive_id in self.ids else 0

    def prune(self, n: int) -> None:
        """Retention takes the older part of the archive."""
        if not self.ids or not self.model.exists:
            return
        upto = n % len(self.ids)
        self.world.call("archive_prune", JULIET, self.ids[upto])
        self.model.pruned = max(self.model.pruned, upto + 1)


TAKEN = ("ok", "offline", "dropped")


def outcome(answer: Delivery) -> tuple[str, dict[str, int], dict[str, int]]:
    """As the model answers it."""
    return (
        answer.status.value,
        {placed.sid: placed.position for placed in answer.placed},
        {placed.sid: placed.position for placed in answer.copies},
    )
