"""Builders: accounts with rosters, on one mailbox, and what a gateway does for them."""

from __future__ import annotations

import json
from typing import Any

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.model import Placed
from gateway.mailbox.presences import Presences, Said
from gateway.mailbox.rosters import Roster, Rosters
from gateway.mailbox.subscriptions import Subscriptions, plain
from tests.mailbox.world import JULIET, Client, World

ROMEO = "montague@localhost"  # another bucket than JULIET, as contacts mostly are
NURSE = "nurse@localhost"


class People:
    """Accounts juliet, romeo and nurse."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: list[Placed] = []
        self.rosters = Rosters(world.mailbox, self._announce)
        self.subscriptions = Subscriptions(world.mailbox, self._announce)
        self.presences = Presences(world.mailbox, self._announce)
        for user in (ROMEO, NURSE):
            world.account(user)

    def _announce(self, placed: tuple[Placed, ...], stanza: bytes) -> None:
        self.told.extend(placed)

    def quiet(self) -> None:
        """Wait until everything that was submitted has been answered."""
        for _ in range(3):  # a broadcast has two steps
            self.world.journal.call("PING")

    def send(self, user: str, contact: str, type_: str, stanza: bytes = b"") -> None:
        self.subscriptions.send(
            user=user, contact=contact, type_=type_, stanza=stanza or plain(user, contact, type_), most_items=1000
        )

    def befriend(self, user: str, contact: str) -> None:
        """Subscribe both ways."""
        for a, b in ((user, contact), (contact, user)):
            self.send(a, b, "subscribe")
            self.send(b, a, "subscribed")

    def state(self, user: str, contact: str) -> str:
        """As RFC 6121 appendix A.1 names it, e.g. "none + pending out/in"; with "approved" behind it."""
        at = keys.prefix(user)
        raw: Any = self.world.redis.hget(keys.key(at, "roster", user), contact)
        item = json.loads(raw) if raw else {"s": "none"}
        asked = self.world.redis.hexists(keys.key(at, "requests", user), contact)
        pending = [word for word, is_so in (("out", item.get("ask")), ("in", asked)) if is_so]
        text = item["s"] + (f" + pending {'/'.join(pending)}" if pending else "")
        return text + (" approved" if item.get("approved") else "")

    def put(self, user: str, contact: str, state: str) -> None:
        """Bring the user's side, and only that, into a state."""
        at, words = keys.prefix(user), state.split()
        item = {"s": words[0], "v": 1, "ask": "out" in state, "approved": "approved" in words}
        self.world.redis.hset(keys.key(at, "roster", user), contact, json.dumps(item))
        if "pending in" in state or "/in" in state:
            self.world.redis.hset(keys.key(at, "requests", user), contact, plain(contact, user, "subscribe"))

    def items(self, user: str, known: str = "") -> Roster:
        return self.rosters.get(user, known)

    def interested(self, client: Client) -> Client:
        self.rosters.follow(client.grip, self.rosters.get(client.user).version)
        return client

    def available(self, user: str, resource: str = "phone") -> Client:
        """A session that asked for the roster and is available; its queue is empty."""
        client = self.world.bind(resource, user=user)
        client.enable()
        self.interested(client)
        self.say(client)
        client.ack_all()
        return client

    def say(self, client: Client, priority: int | None = 0, inner: str = "", **options: Any) -> Said:
        """What a gateway does with a client's own presence."""
        full = f"{client.user}/{client.resource}"
        type_ = " type='unavailable'" if priority is None else ""
        stanza = f"<presence from='{full}'{type_}>{inner}</presence>".encode()
        said = self.presences.say(
            client.grip,
            user=client.user,
            priority=priority,
            stanza=stanza,
            fade_ms=options.get("fade_ms", 300_000),
            fade_to=options.get("fade_to", "away"),
        )
        assert said is not None
        self.presences.tell(
            said,
            grip=client.grip,
            full=full,
            bare=client.user,
            stanza=stanza,
            is_initial=priority is not None and said.former is None,
            refused=lambda contact: self.subscriptions.refused(user=client.user, contact=contact),
        )
        self.quiet()
        return said

    def call(self, user: str, operation: str, *arguments: bytes | str | int) -> Any:
        return self.world.journal.call("FCALL", function(operation), 1, keys.prefix(user), *arguments)

    def outbox(self, user: str) -> list[dict[str, str]]:
        """What waits in the outbox of the user's bucket."""
        found: Any = self.world.redis.xrange(keys.key(keys.prefix(user), "outbox"))
        return [{k.decode(): v.decode() for k, v in fields.items()} for _, fields in found]


__all__ = ["JULIET", "NURSE", "ROMEO", "People"]
