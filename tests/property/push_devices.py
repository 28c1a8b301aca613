"""What devices and their contacts do while Hypothesis watches push events."""

from __future__ import annotations

import itertools
import json
import re
from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.mailbox import keys, library
from gateway.mailbox.pushes import Registration
from gateway.xmpp import ns
from tests.mailbox.speaking import says
from tests.mailbox.world import JULIET, ROMEO, Client, World, waited
from tests.property.push_parts import SERVICE, Call, Device, InHand

BUCKET = keys.prefix(JULIET)
NURSE = next(user for n in range(9999) if keys.prefix(user := f"nurse{n}@localhost") == BUCKET)
OWNER = next(owner for n in range(9999) if keys.prefix(owner := f"push.localhost tybalt{n}@b.example") == BUCKET)
NODE = next(node for n in range(9999) if keys.prefix(node := f"{n:032x}@push.localhost") == BUCKET)
"""three mailboxes in one bucket: two accounts, and a device of another server's user"""

DEVICES = ((JULIET, "phone"), (JULIET, "tablet"), (NURSE, "phone"))
USERS = st.sampled_from([JULIET, JULIET, NURSE])
NUMBER = re.compile(rb" n='(\d+)'")

some = st.integers(0, 10**6)


class Devices(RuleBasedStateMachine):
    """`url` is set by the test."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.url)
        self.world.redis.flushall()
        self.world.journal.call("FUNCTION", "LOAD", "REPLACE", library.source())
        self.world.redis.set(keys.key(BUCKET, "archive_default"), "always")
        self.devices = {(user, resource): Device(user, resource) for user, resource in DEVICES}
        self.clients: dict[tuple[str, str], Client] = {}
        self.in_hand: list[InHand] = []
        self.calls: dict[str, Call] = {}
        self.asked: dict[tuple[str, str, int], set[int]] = {}
        self.numbers = itertools.count(1)
        self.newest = 0
        self.published = self.told_node = 0
        for user in (JULIET, NURSE):
            self.world.account(user)

    def teardown(self) -> None:
        self.world.close()

    # what stands in the store

    def marks(self, sid: str) -> dict[str, str]:
        found: Any = self.world.redis.hgetall(keys.key(BUCKET, "session", sid))
        return {name.decode(): value.decode() for name, value in found.items()}

    def registrations(self, user: str) -> dict[str, Registration]:
        found: Any = self.world.redis.hgetall(keys.key(BUCKET, "registrations", user))
        return {name.decode(): msgspec.json.decode(value, type=Registration) for name, value in found.items()}

    def counters(self) -> dict[str, int]:
        """Of this bucket, in which all is."""
        found: Any = self.world.redis.hgetall(keys.key(BUCKET, "push_counts"))
        return {name.decode(): int(count) for name, count in found.items()}

    def is_consuming(self, sid: str) -> bool:
        marks = self.marks(sid)
        return marks.get("state") == "live" and marks["overdue"] == "0"

    def is_reached(self, sid: str) -> bool:
        """Does what comes reach its session, or will, as soon as it has said that it is available?"""
        marks = self.marks(sid)
        return marks.get("state") == "live" or (marks.get("state") == "asleep" and marks["priority"] != "")

    def numbers_in(self, name: str, of: str) -> set[int]:
        found: Any = self.world.redis.lrange(keys.key(BUCKET, name, of), 0, -1)
        return {int(number[1]) for entry in found if (number := NUMBER.search(entry))}

    def client(self, n: int) -> Client:
        return list(self.clients.values())[n % len(self.clients)]

    def device(self, client: Client) -> Device:
        return self.devices[client.user, client.resource]

    def exists(self, user: str) -> bool:
        return bool(self.world.redis.exists(keys.key(BUCKET, "account", user)))

    @initialize(n=st.integers(0, 15))
    def begin(self, n: int) -> None:
        """Most devices are there from the beginning."""
        for number in range(3):
            if n & 1 << number or n & 8:
                self.a_phone(number)
        self.device_registers()

    # contacts

    def takes(self, user: str, body: str, *, to: str = "", flags: str, wakes: bool = True) -> None:
        """A message comes. Whoever is to take it, or has no session to take it with, is owed it."""
        if not self.exists(user):
            return
        number = next(self.numbers)
        stanza = f"<message from='{ROMEO}' n='{number}'>{body}</message>".encode()
        answer = self.world.deliver(stanza, user=user, to=to, flags=flags)
        self.newest = number
        if not wakes:
            return
        registered = self.registrations(user)
        for device in self.devices.values():
            if device.user != user or device.field not in registered:
                continue
            sid = registered[device.field].sid
            if not self.is_reached(sid):
                if answer.archive_id and answer.status == "ok":
                    device.archived.add(number)
                device.owed.add(number)
            elif sid in {placed.sid for placed in (*answer.placed, *answer.copies)} or answer.status == "offline":
                device.owed.add(number)

    @rule(
        user=USERS,
        flags=st.sampled_from(["swb", "swb", "swba", "swbac", "sb"]),
        to=st.sampled_from(["", "", "phone", "tablet"]),
    )
    def message(self, user: str, flags: str, to: str) -> None:
        self.takes(user, "<body>1</body>", to=to, flags=flags, wakes="w" in flags)

    @rule(user=USERS)
    def propose(self, user: str) -> None:
        if not self.exists(user):
            return
        call = Call(f"c{next(self.numbers)}", user)
        self.calls[call.id] = call
        self.takes(user, f"<propose xmlns='{ns.CALLS}' id='{call.id}'/>", flags="swub")

    @precondition(lambda self: self.calls)
    @rule(n=some)
    def retract(self, n: int) -> None:
        call = list(self.calls.values())[-1 - n % min(3, len(self.calls))]
        if not self.exists(call.user):
            return
        with self.telling_the_end(call, ""):
            self.takes(call.user, f"<retract xmlns='{ns.CALLS}' id='{call.id}'/>", flags="sbx", wakes=False)

    @precondition(lambda self: self.calls and self.clients)
    @rule(n=some, m=some)
    def answer(self, n: int, m: int) -> None:
        call = list(self.calls.values())[-1 - n % min(3, len(self.calls))]
        client = self.client(m)
        if client.user != call.user:
            return
        stanza = f"<message><proceed xmlns='{ns.CALLS}' id='{call.id}'/></message>".encode()
        with self.telling_the_end(call, client.sid):
            says(client, ROMEO, stanza, flags="sbx")

    @abstractmethod
    def telling_the_end(self, call: Call, except_sid: str) -> AbstractContextManager[None]:
        """What is true of who is told that a call is over, around the step that ends it."""

    def publish(self, kind: str) -> None:
        """Another server says how many messages wait for a device of its own."""
        number = next(self.numbers)
        stanza = f"<message n='{number}'/>"
        if b"ok" == self.world.call("device_notify", "other", number, NODE, kind, 1, stanza, 60_000):
            self.newest = number
            self.published = number if kind != "read" else 0

    def device_registers(self) -> None:
        device = json.dumps({"service": "push.localhost", "sid": "", "resource": "", "app": "chat", "token": "t"})
        self.world.call("device_add", OWNER, "phone", NODE, "secret", device, 5, 1000, 60_000)

    # devices

    @rule(n=some, is_available=st.sampled_from([True, True, True, False]))
    def bind(self, n: int, is_available: bool = True) -> None:
        user, resource = DEVICES[n % len(DEVICES)]
        if not self.exists(user):
            return
        client = self.world.bind(resource, user=user)
        client.enable()
        if is_available:
            client.presence()
        self.clients[user, resource] = client
        self.devices[user, resource].archived.clear()

    @rule(n=some)
    def a_phone(self, n: int) -> None:
        """What nearly every client does at first."""
        self.bind(n)
        client = self.clients.get(DEVICES[n % len(DEVICES)])
        if client is not None:
            client.register(token="t1")

    @rule(n=some, has_copies=st.booleans(), then=st.sampled_from(["is there", "leaves", "leaves", "waits"]))
    def bind_and_look(self, n: int, has_copies: bool, then: str) -> None:
        """As clients do that take what they missed from the archive, before they say that they are there."""
        self.bind(n, is_available=False)
        client = self.clients.get(DEVICES[n % len(DEVICES)])
        if client is None:
            return
        client.carbons(has_copies)
        found: Any = self.world.redis.xrange(keys.key(BUCKET, "archive", client.user))
        if found:
            client.shown("0-0", found[-1][0].decode())
        self.device(client).owed -= {int(number[1]) for _, one in found if (number := NUMBER.search(one[b"s"]))}
        if then == "waits":
            return
        client.presence()
        if then == "leaves":
            client.ack_all()
            self.leave(list(self.clients.values()).index(client), is_over=False)

    def register(self, n: int, token: str) -> None:
        self.client(n).register(token=token)

    def unregister(self, n: int) -> None:
        user, resource = DEVICES[n % len(DEVICES)]
        waited(lambda done: self.world.mailbox.unregister(user=user, service=SERVICE, node=resource, done=done))
        self.devices[user, resource].owed.clear()

    @precondition(lambda self: self.clients)
    @rule(n=some, portion=some)
    def ack(self, n: int, portion: int) -> None:
        client = self.client(n)
        marks = client.marks()
        acked, tail = int(marks["acked"]), int(marks["tail"])
        client.ack(acked + portion % (tail - acked + 1))

    @precondition(lambda self: self.clients)
    @rule(n=some, is_overdue=st.sampled_from([True, True, False]))
    def overdue(self, n: int, is_overdue: bool) -> None:
        self.client(n).overdue(is_overdue)

    def rest(self, n: int, is_inactive: bool) -> None:
        self.client(n).rest(is_inactive)

    @precondition(lambda self: self.clients)
    @rule(n=some, grace_ms=st.sampled_from([0, 60_000]), is_offered=st.booleans())
    def hibernate(self, n: int, grace_ms: int, is_offered: bool) -> None:
        client = self.client(n)
        sent = int(client.marks()["tail"]) if is_offered else 0
        self.world.mailbox.hibernate(client.grip, sent=sent, grace_ms=grace_ms)

    @precondition(lambda self: self.clients)
    @rule(n=some, portion=some)
    def resume(self, n: int, portion: int) -> None:
        client = self.client(n)
        marks = client.marks()
        acked, tail = int(marks["acked"]), int(marks["tail"])
        answer = client.resume(acked + portion % (tail - acked + 1) - int(marks["base"]))
        self.clients[client.user, client.resource] = client.taken_over(answer)

    @precondition(lambda self: self.clients)
    @rule(n=some, is_over=st.booleans())
    def leave(self, n: int, is_over: bool) -> None:
        """The stream is closed; or (`is_over`) the session expires, if it sleeps."""
        client = self.client(n)
        if is_over:
            if client.expire() is None:
                return
        else:
            client.close()
        del self.clients[client.user, client.resource]
        device = self.device(client)
        device.owed &= self.numbers_in("offline", client.user) | device.archived  # another device has the rest

    def reap(self, spacing_ms: int) -> None:
        """The gateway has died."""
        self.world.sweep._wake_spacing_ms = spacing_ms
        self.world.sweep.reap(self.world.bucket, self.world.node)
        for place, client in self.clients.items():
            grip = replace(client.grip, epoch=int(client.marks()["epoch"]))
            self.clients[place] = replace(client, grip=grip)

    @precondition(lambda self: self.clients)
    @rule(n=some)
    def last_call(self, n: int) -> None:
        sid = self.client(n).sid
        self.world.call("last_call", sid)

    def displayed(self, user: str) -> None:
        """Another device has shown all that Romeo wrote."""
        self.world.call("displayed", user, ROMEO.partition("/")[0], "", f"r{next(self.numbers)}")

    @rule(n=some, which=st.integers(0, 7), user=USERS)
    def seldom(self, n: int, which: int, user: str) -> None:
        """What would drown the rest if it came as often."""
        if which == 0:
            self.displayed(user)
        elif which == 1:
            self.unregister(n)
        elif which == 2:
            self.device_registers()
        elif which in (3, 4):
            self.publish(("message", "message", "call", "read")[n % 4])
        elif self.clients:
            rare = (lambda: self.register(n, f"t{n % 2}"), lambda: self.rest(n, n % 2 == 0), lambda: self.reap(n % 2))
            rare[which - 5]()
