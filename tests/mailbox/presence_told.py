"""What is told of presence, and the sweeper's part in it."""

from __future__ import annotations

from gateway.mailbox import keys
from tests.mailbox.people import JULIET, ROMEO, People
from tests.mailbox.world import Client, World
from workers.sweeper.broadcasts import Broadcasts


def friends(world: World) -> People:
    people = People(world)
    people.befriend(JULIET, ROMEO)
    return people


def the_broadcasts(people: People) -> Broadcasts:
    return Broadcasts(people.world.mailbox, people.world.sweep)


def presences(client: Client) -> list[bytes]:
    return [entry.stanza for entry in client.read() if entry.kind == "p"]


def from_(user: str, to: str, inner: str = "", *, resource: str = "phone", type_: str = "") -> bytes:
    """A presence as it is delivered."""
    if type_:
        return f"<presence to='{to}' from='{user}/{resource}' type='{type_}'/>".encode()
    return f"<presence to='{to}' from='{user}/{resource}'>{inner}</presence>".encode()


def sweep(people: People, broadcasts: Broadcasts, user: str) -> None:
    """What the sweeper does about the outbox of a user's bucket."""
    bucket = keys.bucket_of(user)
    for entry, fields in people.world.sweep.outbox(bucket):
        broadcasts.carry(bucket, entry, fields)
