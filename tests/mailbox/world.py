"""Builders: a mailbox on a real server, sessions as their owners use them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import redis
from gevent.event import AsyncResult

from gateway.mailbox import keys, library, pushes
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.entry import Entry
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Bound, Delivery, Grip, NotResumed, Origin, Placed, Resumed, Status
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.presences import addressed
from gateway.mailbox.pushes import Cancelled, Event, Later, Pushes, Registration, Send
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from gateway.xmpp.stanza import end_tag_at

JULIET = "juliet@localhost"
ROMEO = "romeo@localhost/orchard"

CHAT = "swb"
"""flags of a message with a body: stored offline, wakes, may be bounced"""

WAIT_S = 20.0

Found = TypeVar("Found")


def waited(start: Callable[[Callable[[Any], None]], None]) -> Any:
    """Start an operation that answers by callback, and wait for the answer."""
    result: AsyncResult[Any] = AsyncResult()
    start(result.set)
    answer = result.get(timeout=WAIT_S)
    if isinstance(answer, Exception):
        raise answer
    return answer


def a_message(text: str) -> bytes:
    return f"<message><body>{text}</body></message>".encode()


@dataclass
class Client:
    """A session as its owner sees it."""

    world: World
    user: str
    resource: str
    grip: Grip
    bound: Bound
    own: bytes = b""
    """its presence, as others get it"""

    @property
    def sid(self) -> str:
        return self.grip.sid

    def presence(self, priority: int | None = 0, stanza: bytes = b"<presence/>") -> Any:
        self.own = addressed(stanza, self.user)
        return waited(lambda done: self.world.mailbox.presence(self.grip, priority=priority, stanza=stanza, done=done))

    def read(self, position: int = 0) -> list[Entry]:
        first = position or int(self.marks()["acked"]) + 1
        answer = waited(
            lambda done: self.world.mailbox.read(self.grip, position=first, most=10_000, most_bytes=10**9, done=done)
        )
        return list(answer[1]) if answer is not None else []

    def stanzas(self) -> list[bytes]:
        """What waits for it, but for its own presence, which comes back to it (RFC 6121 section 4.2.2)."""
        return [entry.stanza for entry in self.read() if entry.stanza != self.own]

    def ack(self, h: int) -> tuple[str, int]:
        answer: tuple[str, int] = waited(lambda done: self.world.mailbox.ack(self.grip, h, done))
        return answer

    def ack_all(self) -> None:
        self.ack(int(self.marks()["tail"]))

    def all_that(self, look: Callable[[Client], list[Found]]) -> list[Found]:
        """What `look` finds in the queue, and in what gets room there by acknowledgements, until it finds nothing."""
        found: list[Found] = []
        while more := look(self):
            found += more
            self.ack_all()
        return found

    def append(self, stanza: bytes, *, kind: str = "r", flags: str = "", inbound: int | None = None) -> Any:
        return waited(
            lambda done: self.world.mailbox.append(
                self.grip, kind=kind, flags=flags, inbound=inbound, stanza=stanza, done=done
            )
        )

    def handled(self, h: int) -> bool:
        return bool(waited(lambda done: self.world.mailbox.handled(self.grip, h, done)))

    def overdue(self, is_overdue: bool = True) -> Any:
        return waited(lambda done: self.world.mailbox.overdue(self.grip, is_overdue, done))

    def carbons(self, is_on: bool = True) -> bool:
        return self.world.mailbox.carbons(self.grip, is_on)

    def rest(self, is_inactive: bool = True) -> Any:
        return waited(lambda done: self.world.mailbox.rest(self.grip, is_inactive, done))

    def shown(self, low: str, high: str) -> Any:
        """A page of the archive, by whose end the client has everything in (low, high]. It holds nothing here."""
        name = self.world.name("page")
        return self.world.call(
            "archive_results", self.sid, self.grip.epoch, name, *self.world.mailbox.limits, low, high
        )

    def enable(self, *, max_ms: int = 600_000, push_max_ms: int = 0, base: int = 0, is_resumable: bool = True) -> Any:
        return self.world.mailbox.enable(
            self.grip, is_resumable=is_resumable, max_ms=max_ms, push_max_ms=push_max_ms, base=base
        )

    def register(self, *, node: str = "", token: str = "t0", service: str = "push.localhost", most: int = 5) -> str:
        registration = Registration(
            service=service, node=node or self.resource, sid=self.sid, resource=self.resource, app="chat", token=token
        )
        reply = waited(
            lambda done: self.world.mailbox.register(
                self.grip, user=self.user, field=registration.field, registration=msgspec.json.encode(registration),
                most=most, done=done,
            )
        )  # fmt: skip
        return str(reply.decode())

    def hibernate(self) -> str:
        return self.world.mailbox.hibernate(self.grip)

    def close(self) -> tuple[Placed, ...]:
        return self.world.mailbox.close(self.grip)

    def resume(self, h: int, *, owner: str = "", world: World | None = None) -> Resumed | NotResumed:
        return (world or self.world).mailbox.resume(
            user=self.user, sid=self.sid, h=h, owner=owner or self.world.name("owner")
        )

    def taken_over(self, resumed: Resumed | NotResumed, world: World | None = None) -> Client:
        assert isinstance(resumed, Resumed)
        return Client(world or self.world, self.user, self.resource, resumed.grip, self.bound)

    def marks(self) -> dict[str, str]:
        """The session's hash, as it stands in Redis."""
        found: dict[bytes, bytes] = self.world.redis.hgetall(keys.key(self.grip.at, "session", self.sid))  # type: ignore[assignment]
        return {field.decode(): value.decode() for field, value in found.items()}

    def expire(self) -> tuple[Placed, ...] | None:
        """Let the deadline pass, then do what the sweeper does."""
        key = keys.key(self.grip.at, "session", self.sid)
        self.world.redis.hset(key, "deadline", 1)
        return self.world.sweep.expire(self.world.bucket, self.sid)


class World:
    """One node's mailbox, the sweeper's and the push worker's sides, and a plain client to look behind them."""

    def __init__(
        self,
        url: str,
        *,
        node: str = "n1",
        queue: int = 5000,
        quota: int = 1000,
        resend: Any = "if_offline",
        sessions: int = 50,
        old: int = 10,
        journal: Journal | None = None,
    ) -> None:
        """`journal`: another than the usual one to the server at `url`."""
        smacks = SmacksSettings(
            smacks_max_queue_size=queue,
            resend_on_timeout=resend,
            max_user_sessions=sessions,
            smacks_max_old_sessions=old,
        )
        offline = OfflineSettings(access_max_user_messages=quota)
        self.url = url
        self.node = node
        self.journal = journal or Journal(url)
        self.journal.start()
        self.journal.wait_up(WAIT_S)
        self.journal.call("FUNCTION", "LOAD", "REPLACE", library.source())  # a test before may have loaded another one
        self.mailbox = Mailbox(self.journal, node=node, smacks=smacks, offline=offline)
        self.sweep = Sweep(self.journal, smacks=smacks, offline=offline)
        self.accounts = Accounts(self.journal)
        self.pushes = Pushes(self.journal)
        self.redis = redis.Redis.from_url(url)
        self.at = keys.prefix(JULIET)
        self.bucket = int(self.at.split("{b")[1].split("}")[0])
        self._names = itertools.count(1)

    def close(self) -> None:
        self.journal.stop()
        self.redis.close()

    def name(self, kind: str) -> str:
        return f"{kind}-{self.node}-{next(self._names)}"

    def account(self, user: str = JULIET) -> None:
        assert self.accounts.create(user, {"scheme": "test"})

    def bind(self, resource: str = "phone", *, user: str = JULIET, sid: str = "") -> Client:
        bound = self.mailbox.bind(
            user=user, resource=resource, sid=sid or self.name("sid"), owner=self.name("owner"),
            jid_xml=f"{user}/{resource}", user_xml=user,
        )  # fmt: skip
        assert isinstance(bound, Bound), bound
        return Client(self, user, resource, bound.grip, bound)

    def client(self, resource: str = "phone", *, priority: int | None = 0, max_ms: int = 600_000) -> Client:
        """A session as most are: XEP-0198 with resumption, available, nothing queued."""
        client = self.bind(resource)
        client.enable(max_ms=max_ms)
        if priority is not None:
            client.presence(priority)
            client.ack_all()
            # Its own presence came back to it; tests count from what comes after that.
            self.redis.hset(keys.key(client.grip.at, "session", client.sid), mapping={"tail": 0, "acked": 0})
        return client

    def deliver(
        self,
        stanza: bytes,
        *,
        to: str = "",
        kind: str = "m",
        type: str = "chat",  # noqa: A002 - the attribute's name
        flags: str = CHAT,
        origin: Origin | None = None,
        sender: str = ROMEO,
        user: str = JULIET,
    ) -> Delivery:
        answer: Delivery = waited(
            lambda done: self.mailbox.deliver(
                user=user, resource=to, sender=sender, origin=origin, kind=kind, type=type, flags=flags, stanza=stanza,
                split=end_tag_at(stanza), done=done,
            )
        )  # fmt: skip
        return answer

    def status(self, stanza: bytes, **options: Any) -> Status:
        return self.deliver(stanza, **options).status

    def hash(self, name: str, *parts: str) -> dict[str, str]:
        found: dict[bytes, bytes] = self.redis.hgetall(keys.key(self.at, name, *parts))  # type: ignore[assignment]
        return {field.decode(): value.decode() for field, value in found.items()}

    def waiting(self, name: str, of: str) -> list[bytes]:
        """The stanzas of a list of entries."""
        found: list[bytes] = self.redis.lrange(keys.key(self.at, name, of), 0, -1)  # type: ignore[assignment]
        return [entry.split(b"|", 3)[3] for entry in found]

    def offline(self, user: str = JULIET) -> list[bytes]:
        return self.waiting("offline", user)

    def outbox(self) -> list[bytes]:
        entries = [fields for _, fields in self.sweep.outbox(self.bucket)]
        return [fields["stanza"] for fields in entries if fields["do"] == b"bounce"]

    def fates(self) -> dict[str, int]:
        return {name: int(n) for name, n in self.hash("fates").items()}

    def events(self) -> list[Event]:
        found: Any = self.redis.xrange(pushes.stream(self.bucket))
        return [
            Event.read(self.bucket, name.decode(), {k.decode(): v.decode() for k, v in fields.items()})
            for name, fields in found
        ]

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events()]

    def claim(self, floor_ms: int = 0) -> Send | Later | Cancelled:
        """Claim the oldest event; it stays on the stream if it is to be sent."""
        return self.pushes.claim(self.events()[0], floor_ms=floor_ms)

    def push_all(self) -> int:
        """What a worker does: every event claimed, delivered and done. Answers the number of pushes."""
        count = 0
        while events := self.events():
            answer = self.pushes.claim(events[0], floor_ms=0)
            if isinstance(answer, Send):
                for registration in answer.registrations:
                    self.pushes.outcome(events[0], registration, "delivered")
                    count += 1
                self.pushes.done(events[0], final=True)
        return count

    def call(self, operation: str, *arguments: bytes | str | int) -> Any:
        """An operation as it goes over the wire: for what the typed face hides, such as sending it twice."""
        return self.journal.call("FCALL", function(operation), 1, self.at, *arguments)


@contextmanager
def a_world(url: str, **options: Any) -> Iterator[World]:
    world = World(url, **options)
    try:
        yield world
    finally:
        world.close()
