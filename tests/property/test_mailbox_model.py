"""Any sequence of mailbox operations on the real server agrees with a plain Python model of the mailbox."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from gateway.mailbox import keys, library
from tests.mailbox.world import JULIET
from tests.property.mailbox_machine import RESOURCES, some
from tests.property.mailbox_parts import QUEUE, Copy, Session
from tests.property.mailbox_pushes import Pushes


class Mailboxes(Pushes):
    """All of it, and what must be true after every step."""

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

    @rule(n=some, which=st.integers(0, 15))
    def seldom(self, n: int, which: int) -> None:
        """What would drown the rest if it came as often."""
        rare: dict[int, Callable[[], None]] = {0: self.remove, 1: self.chores, 2: self.deliver_what_was_taken}
        by_number = (
            self.reap, self.ack_too_much, self.handled, self.a_stale_owner_changes_nothing, self.unregister, self.block,
            self.prune,
        )  # fmt: skip
        if which in rare:
            rare[which]()
        else:
            by_number[which % len(by_number)](n)

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
        assert not stale.carbons()
        assert stale.rest() is None
        assert b"stale" == stale.shown("0-0", "9-9")[0]

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
            self.session_agrees(session, *of_sessions[4 * i : 4 * i + 4])
        assert names(model.offline) == self.read_entries(offline)
        assert {ending.sid for ending in model.endings} == {sid.decode() for sid in endings}
        assert {s.resource: s.sid for s in model.sessions.values()} == {
            r.decode(): s.decode() for r, s in resources.items()
        }
        assert {sid.encode(): str(h).encode() for sid, (h, _) in model.old.items()} | {
            f"{sid} reach".encode(): reach.encode() for sid, (_, reach) in model.old.items()
        } == old
        assert sorted(model.bounced) == sorted(plain(fields[b"stanza"]) for _, fields in outbox)
        assert {name: n for name, n in model.fates.items() if n} == {name.decode(): int(n) for name, n in fates.items()}

    def session_agrees(self, session: Session, marks: Any, queue: Any, backlog: Any, aside: Any) -> None:
        mark = {name.decode(): value.decode() for name, value in marks.items()}
        assert (session.acked, session.tail, len(session.backlog)) == tuple(
            int(mark[m]) for m in ("acked", "tail", "back")
        )
        assert (session.epoch, session.h) == (int(mark["epoch"]), int(mark["h"]))
        assert ("asleep" if session.is_asleep else "live") == mark["state"]
        assert ("1" if session.is_linked else "0") == mark["reg"]
        assert names(session.queue) == self.read_entries(queue)
        assert names(session.backlog) == self.read_entries(backlog)
        assert session.aside == {name.decode(): plain(value[1:]) for name, value in aside.items()}
        assert (session.is_inactive, session.has_carbons) == (mark.get("inactive") == "1", mark.get("carbons") == "1")
        assert not session.is_inactive or session.flush == int(mark["flush"])

    def read_entries(self, entries: list[bytes]) -> list[tuple[str, bytes, bool]]:
        """Kind, name and whether it waited; an archived one carries the id under which the archive has it."""
        found = []
        for entry in entries:
            head, stamp, _, body = entry.split(b"|", 3)
            kind, flags = chr(head[0]), head[1:]
            name, given = plain(body), ID.findall(body)
            if copy := COPY.fullmatch(name):
                assert body.count(b"urn:xmpp:carbons:2") == 1
                name = copy[1] + b":" + copy[2]
            assert [stamp] * (b"-" in stamp) == given
            if given:
                at = self.ids.index(stamp.decode())
                assert name.rpartition(b":")[2] == self.model.archive[at]
            found.append((kind, name, b"d" in flags))
        return found

    @invariant()
    def an_inactive_client_sees_all_that_is_urgent(self) -> None:
        for session in self.model.sessions.values():
            urgent = [at for at, copy in enumerate(session.queue, session.acked + 1) if not copy.message.may_wait]
            assert max(urgent, default=0) <= session.visible
            assert not session.is_inactive or len(session.queue) < QUEUE or session.visible == session.tail

    @invariant()
    def fates_add_up(self) -> None:
        fates = self.model.fates

        assert fates["accepted"] == sum(fates.values()) - fates["accepted"] + self.model.waiting()

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


ID = re.compile(rb"<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@localhost' id='([^']*)'/>")

COPY = re.compile(
    rb"<message from='juliet@localhost' to='juliet@localhost/[^<]*' type='[a-z]*'><(\w+) xmlns='urn:xmpp:carbons:2'>"
    rb"<forwarded xmlns='urn:xmpp:forward:0'>(.*)</forwarded></\1></message>"
)


def plain(stanza: bytes) -> bytes:
    """As it was sent: without what the mailbox writes into it."""
    return ID.sub(b"", stanza).replace(b" to='juliet@localhost'", b"").replace(b" xmlns='jabber:client'", b"")


def names(copies: list[Copy]) -> list[tuple[str, bytes, bool]]:
    return [(copy.message.kind, copy.message.body, copy.is_late) for copy in copies]


EXAMPLES = int(os.environ.get("WAKEGATE_MODEL_EXAMPLES", "10"))


@pytest.mark.parametrize(
    ("resend", "piece", "is_sharded"),
    [
        ("if_offline", 1000, False), (True, 1000, False), (False, 1000, False), ("if_offline", 1, False),
        (True, 2, False), ("if_offline", 1000, True),
    ],
    ids=["if_offline", "true", "false", "if_offline-in-pieces", "true-in-pieces", "across-slots"],
)  # fmt: skip
def test_any_sequence_of_operations_agrees_with_the_model(
    redis_url: str, resend: Any, piece: int, is_sharded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = library.source()
    small = source.replace("PIECE, PIECE_BYTES = 1000,", f"PIECE, PIECE_BYTES = {piece},")
    assert piece == 1000 or small != source
    monkeypatch.setattr(library, "source", lambda: small)
    options = {"url": redis_url, "resend": resend, "piece": piece, "is_sharded": is_sharded}
    machine = type("Mailboxes", (Mailboxes,), options)

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
