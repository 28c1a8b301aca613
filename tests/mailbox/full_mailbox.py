"""Builder: a mailbox in which something of each kind is kept, and all that Redis holds of it."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from gateway.mailbox import keys, library
from gateway.mailbox.pubsub_model import NodeConfig
from tests.mailbox.eventing import Stage
from tests.mailbox.people import ROMEO, People
from tests.mailbox.world import CHAT, JULIET, Client, World, a_message

BRIDGE = "bridge.localhost"
LIMITS = (5000, 1000)


class Scene:
    """Juliet has a phone and a tablet, Romeo is her contact, and something of each kind is kept."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.people = People(world)
        self.people.befriend(JULIET, ROMEO)
        self.phone = self._device("phone")
        self.tablet = self._device("tablet")
        self.stage = Stage(world)
        for number in range(3):
            self.stage.publish(item=f"i{number}", max_items=10, notify_retract=True)
        self.config = msgspec.json.encode(NodeConfig(max_items=10)).decode()
        self.stage.settle()
        self.phone.ack_all()
        self.tablet.ack_all()

    def _device(self, resource: str) -> Client:
        device = self.people.available(JULIET, resource)
        device.carbons()
        self.world.call("blocklist", JULIET, device.sid, device.grip.epoch)
        return device

    def call(self, operation: str, *arguments: bytes | str | int, at: str = "", sender_at: str = "") -> Any:
        names = [at or keys.prefix(JULIET), *([sender_at] if sender_at else [])]
        return self.world.journal.call("FCALL", library.function(operation), len(names), *names, *arguments)

    @property
    def grip(self) -> tuple[str, int]:
        return self.phone.sid, self.phone.grip.epoch

    def asleep(self) -> str:
        self.phone.hibernate()
        return self.phone.sid

    def archived(self) -> str:
        """Three archived messages; answers the id of the second."""
        ids = [self.world.deliver(a_message(str(n)), flags=CHAT + "a").archive_id for n in range(3)]
        self.phone.ack_all()
        return ids[1]

    def stored(self) -> None:
        """Nobody is available, and messages wait offline."""
        self.phone.presence(None)
        self.tablet.close()
        for number in range(3):
            self.world.deliver(a_message(str(number)))

    def bridge(self) -> tuple[str | int, ...]:
        """What claims the component's session."""
        return BRIDGE, "bridge-sid", "n1", "owner-of-bridge", 60_000, ""

    def invited(self) -> str:
        self.call("invite_make", JULIET, "digest", "", 1, 60_000, 5)
        return "digest"

    def commanded(self) -> str:
        self.call("command_keep", JULIET, "session", "state", 60_000, 5)
        return "session"

    def content(self) -> dict[tuple[str, str], Any]:
        """Everything in Redis, by key and field, without what the clock says."""
        found: dict[tuple[str, str], Any] = {}
        redis: Any = self.world.redis
        for name in sorted(redis.scan_iter(count=1000)):
            key, kind = name.decode(), redis.type(name)
            if kind == b"hash":
                found |= {(key, field.decode()): _parsed(value) for field, value in redis.hgetall(name).items()}
            elif kind == b"set":
                found |= {(key, str(member)): b"" for member in redis.smembers(name)}
            elif kind == b"zset":
                found |= {(key, member.decode()): score for member, score in redis.zrange(name, 0, -1, withscores=True)}
            elif kind == b"list":
                found |= {(key, str(at)): _timeless(entry) for at, entry in enumerate(redis.lrange(name, 0, -1))}
            elif kind == b"stream":
                found |= {(key, str(at)): fields for at, (_, fields) in enumerate(redis.xrange(name))}
            else:
                found[key, ""] = redis.get(name)
        return found


def _parsed(value: bytes) -> Any:
    return json.loads(value) if value.startswith(b"{") else value  # its fields are in no order


def _timeless(entry: bytes) -> bytes:
    return re.sub(rb"^(\w+)\|[\d-]+\|", rb"\1|", entry)
