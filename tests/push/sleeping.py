"""Phones that sleep: mailboxes as the gateway would leave them, without a gateway."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import gevent
import msgspec
from gevent.event import AsyncResult

from gateway.mailbox import keys
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.errors import StoreError
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Bound, Grip, Resumed
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.pushes import STREAMS, Pushes, Registration
from gateway.mailbox.settings import OfflineSettings, SmacksSettings

SERVICE = "push.localhost"


def waited(start: Callable[[Callable[[Any], None]], None]) -> Any:
    """Start an operation that answers by callback, and wait for its answer."""
    answer: AsyncResult[Any] = AsyncResult()
    start(answer.set)
    found = answer.get(timeout=20)
    if isinstance(found, StoreError):
        raise found
    return found


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait for what a worker does in its own time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        gevent.sleep(0.01)


class Phone:
    """A session of a user, with a push registration."""

    def __init__(self, town: Town, user: str, grip: Grip) -> None:
        self._town = town
        self.user = user
        self.grip = grip

    def register(self, *, app: str = "chat", token: str = "ab" * 32, node: str = "node", **fields: Any) -> Registration:
        """XEP-0357 `<enable/>`."""
        wanted = Registration(
            service=SERVICE, node=node, sid=self.grip.sid, resource="phone", app=app, token=token, **fields
        )
        waited(
            lambda done: self._town.mailbox.register(
                self.grip,
                user=self.user,
                field=wanted.field,
                registration=msgspec.json.encode(wanted),
                most=5,
                done=done,
            )
        )
        return wanted

    def sleep(self) -> None:
        """The link is lost."""
        self._town.mailbox.hibernate(self.grip)

    def wake(self) -> None:
        """The stream is resumed."""
        resumed = self._town.mailbox.resume(user=self.user, sid=self.grip.sid, h=0, owner=f"o{next(self._town.count)}")
        assert isinstance(resumed, Resumed)
        self.grip = resumed.grip

    def gets(self, body: str = "wherefore", *, sender: str = "romeo@localhost/garden", flags: str = "swb") -> None:
        """A message arrives."""
        stanza = f"<message from='{sender}' to='{self.user}' type='chat'><body>{body}</body></message>".encode()
        waited(
            lambda done: self._town.mailbox.deliver(
                user=self.user,
                resource="",
                sender=sender,
                origin=None,
                kind="m",
                type="chat",
                flags=flags,
                stanza=stanza,
                done=done,
            )
        )


class Town:
    """Accounts with phones, on a real Redis."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.count = itertools.count(1)
        self.journal = Journal(url)
        self.journal.start()
        self.mailbox = Mailbox(self.journal, node="n1", smacks=SmacksSettings(), offline=OfflineSettings())
        self.sweep = Sweep(self.journal, smacks=SmacksSettings(), offline=OfflineSettings())

    def a_phone(self, user: str = "juliet@localhost") -> Phone:
        """An available, resumable session of a new account."""
        Accounts(self.journal).create(user, {"none": "no credentials are needed here"})
        number = next(self.count)
        bound = self.mailbox.bind(
            user=user, resource="phone", sid=f"s{number}", owner=f"o{number}", jid_xml=f"{user}/phone", user_xml=user
        )
        assert isinstance(bound, Bound), bound
        self.mailbox.enable(bound.grip, is_resumable=True, max_ms=600_000, push_max_ms=0, base=0)
        waited(lambda done: self.mailbox.presence(bound.grip, priority=0, stanza=b"<presence/>", done=done))
        return Phone(self, user, bound.grip)

    def a_sleeping_phone(self, user: str = "juliet@localhost", **registration: Any) -> Phone:
        """The same, registered for pushes, its link lost."""
        phone = self.a_phone(user)
        phone.register(**registration)
        phone.sleep()
        return phone

    def registrations(self, user: str = "juliet@localhost") -> list[str]:
        """The tokens that are registered."""
        values = self.journal.call("HVALS", keys.key(keys.prefix(user), "registrations", user))
        return [msgspec.json.decode(value, type=Registration).token for value in values]

    def events(self) -> int:
        """Events that stand on any stream."""
        return sum(self.journal.call_all([("XLEN", name) for name in STREAMS]))

    def retries(self) -> int:
        """Retries that wait for their time."""
        names = [keys.key(keys.bucket_prefix(bucket), "retries") for bucket in STREAMS.values()]
        return sum(self.journal.call_all([("ZCARD", name) for name in names]))

    def let_retries_fall_due(self) -> None:
        """Do at once what the sweeper does when their time has come."""
        for bucket in STREAMS.values():
            name = keys.key(keys.bucket_prefix(bucket), "retries")
            for member in self.journal.call("ZRANGE", name, 0, -1):
                self.journal.call("ZADD", name, 0, member)
            self.sweep.chores(bucket)

    def outcomes(self) -> dict[str, int]:
        """What the workers counted."""
        return Pushes(self.journal).outcomes()

    def leave(self) -> None:
        """Close the connection."""
        self.journal.stop()
