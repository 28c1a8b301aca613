"""Builders for personal eventing: what Pubsubs needs of a process, rosters, a client that wants nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.mailbox import keys
from gateway.mailbox.interests import Interests
from gateway.mailbox.model import Placed
from gateway.mailbox.pubsub_model import PubsubRefusal, PubsubSettings
from gateway.mailbox.pubsubs import Pubsubs
from gateway.settings import Settings, load
from gateway.xmpp.jid import JID
from tests.mailbox.world import JULIET, Client, World

ROMEO = "romeo@localhost"
ROMEO_ORCHARD = "romeo@localhost/orchard"
BALCONY = "juliet@localhost/balcony"
TUNE = "http://jabber.org/protocol/tune"


def a_tune(title: str) -> bytes:
    return f"<tune xmlns='{TUNE}'><title>{title}</title></tune>".encode()


@dataclass
class Process:
    """The process that a mailbox's operations run in: notes what it is told to announce."""

    world: World
    settings: Settings
    announced: list[Placed] = field(default_factory=list)

    @property
    def mailbox(self) -> Any:
        return self.world.mailbox

    def announce(self, placed: Iterable[Placed], stanza: bytes = b"") -> None:
        self.announced.extend(placed)


class Stage:
    """Personal eventing in one world. `limits` are settings of [pubsub]."""

    def __init__(self, world: World, **limits: int) -> None:
        self.world = world
        self.process = Process(world, load({"pubsub": PubsubSettings}, overrides={"pubsub": limits}))
        self.pubsubs = Pubsubs(self.process)
        self.interests = Interests(self.process)

    def publish(
        self, node: str = TUNE, item: str = "current", payload: bytes = b"", owner: str = JULIET, **options: Any
    ) -> str:
        return self.pubsubs.publish(owner, node, item, payload or a_tune("Gymnopedie"), options).id

    def ids(self, node: str = TUNE, asker: str = BALCONY, owner: str = JULIET, **how: Any) -> list[str]:
        return [item.id for item in self.pubsubs.items(owner, asker, node, **how).items]

    def settle(self) -> None:
        """Everything submitted so far, and what that submits, is done."""
        for _ in range(6):
            self.world.journal.call("PING")

    def befriend(self, owner: str, contact: str, subscription: str, *groups: str) -> None:
        """What the owner's roster says of a contact."""
        item = {"s": subscription, "v": 1, **({"g": list(groups)} if groups else {})}
        self.world.redis.hset(keys.key(keys.prefix(owner), "roster", owner), contact, json.dumps(item))

    def friends(self) -> None:
        """Juliet and Romeo see each other's presence."""
        self.befriend(JULIET, ROMEO, "both")
        self.befriend(ROMEO, JULIET, "both")

    def wants(self, client: Client, *nodes: str) -> None:
        """The client's capabilities say +notify."""
        jid = JID.parse(f"{client.user}/{client.resource}")
        text = "\n" + "".join(node + "\n" for node in nodes) if nodes else ""
        self.interests.keep(jid, client.grip, text)
        self.settle()

    def client(self, resource: str = "balcony", *nodes: str, user: str = JULIET) -> Client:
        """A session that is available and wants nodes."""
        client = self.world.bind(resource, user=user)
        client.enable()
        client.presence(0)
        self.wants(client, *nodes)
        client.ack_all()
        return client

    def marks(self, client: Client) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = self.world.redis.hgetall(keys.key(client.grip.at, "session", client.sid))  # type: ignore[assignment]
        return found

    def events(self, client: Client) -> list[bytes]:
        """Events in the client's queue."""
        self.settle()
        first = int(self.marks(client)[b"acked"]) + 1
        _, entries = self._read(client, first)
        return [entry.stanza for entry in entries if entry.kind == "e"]

    def _read(self, client: Client, first: int) -> Any:
        from tests.mailbox.world import waited

        return waited(
            lambda done: self.world.mailbox.read(client.grip, position=first, most=1000, most_bytes=10**9, done=done)
        )


def refused(call: Any) -> str:
    """Why the mailbox does not do it."""
    try:
        call()
    except PubsubRefusal as refusal:
        return refusal.why
    return "done"
