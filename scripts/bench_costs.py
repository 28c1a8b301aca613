"""What Redis spends on one operation of each kind, in µs of CPU: the inputs of scripts/scale_model.py.

The operations come from one process that has nothing else to do, many at a time, as gateways send them; Redis' own CPU
clock is read before and after. So the load of the machine matters little, and no client is part of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import gevent
import redis
from bench_host import Server, ran_s, server
from bench_sessions import machine, show
from gevent.pool import Pool

from gateway.mailbox import keys, library
from gateway.mailbox.embedded import resolve
from gateway.mailbox.library import function
from gateway.mailbox.pushes import STREAMS
from tests.mailbox.people import People
from tests.mailbox.world import Client, World
from workers.consumer import Consumer

SESSIONS: Final = 3000
AT_ONCE: Final = 64
BODY: Final = b"<message type='chat' id='m1' from='%s' to='%s'><body>" + b"x" * 160 + b"</body></message>"
CONTACTS: Final = 300


@dataclass
class Bench:
    """One Redis, a process that asks it, and the clock."""

    host: Server
    world: World

    def us(self, work: Callable[[], Any], many: int) -> float:
        """CPU of Redis for each of the `many` that `work` does."""
        before = ran_s(self.host.redis)
        work()
        self.world.journal.call("PING")
        return (ran_s(self.host.redis) - before) / many * 1e6

    def each(self, work: Callable[[Any], Any], items: Sequence[Any]) -> float:
        """The same: many at a time, one for each item."""
        return self.us(lambda: Pool(AT_ONCE).map(work, items), len(items))


def costs() -> None:
    """One line for each operation, and all of them as JSON, as the model reads them."""
    show("machine", machine())
    found: dict[str, float] = {}
    with server(SESSIONS) as host:
        world = World(resolve("embedded", host.config.parent), node="bench")
        for name, cost in measured(Bench(host, world)):
            found[name] = round(cost, 2)
            show(name, f"{cost:.1f} µs")
        world.close()
    print(json.dumps(found))


def measured(bench: Bench) -> Iterator[tuple[str, float]]:
    """Each operation in turn; those behind need what those before made."""
    world = bench.world
    users = [f"u{number}@localhost" for number in range(SESSIONS)]
    clients: list[Client] = []

    def log_in(user: str) -> None:
        world.accounts.credentials(user)
        client = world.bind(user=user)
        client.enable()
        client.presence()
        clients.append(client)

    yield "login", bench.each(log_in, users)
    yield "message", bench.each(lambda client: deliver(world, client, 1), clients)
    yield "message_again", bench.each(lambda client: deliver(world, client, 2), clients)
    yield "ack", bench.each(lambda client: client.ack(3), clients)
    yield "tails_session", bench.us(lambda: tails(world, "bench", 10), 10 * len(clients))
    yield "tails_bucket", bench.us(lambda: tails(world, "nobody", 100), 100 * keys.BUCKETS)
    yield "sweeper_bucket", bench.us(lambda: sweep(world, 50), 50 * keys.BUCKETS)
    yield "heartbeat", bench.each(lambda _: beat(world), range(5000))
    yield "hibernate", bench.each(lambda client: client.hibernate(), clients)
    yield "message_asleep", bench.each(lambda client: deliver(world, client, 3), clients)
    yield "resume", bench.each(lambda client: client.resume(3), clients)
    yield "notice_unheard", bench.each(lambda _: world.journal.call("PUBLISH", "wg:n:nobody", BODY), range(5000))
    with listening(bench.host):
        yield "notice", bench.each(lambda _: world.journal.call("PUBLISH", "wg:n:bench", BODY), range(5000))
    yield "function_load", bench.us(lambda: load(world, 20), 20)
    yield "push_wait", bench.us(lambda: wait_for_events(bench.host, 100), 100)
    yield "presence_contact", presence_to_contacts(bench)


def deliver(world: World, client: Client, number: int) -> None:
    """A chat message with an archive entry on the recipient's side, as the gateway of its sender does it."""
    stanza = BODY.replace(b"m1", b"m%d" % number) % (b"romeo@localhost", client.user.encode())
    world.deliver(stanza, user=client.user, flags="swba")


def tails(world: World, node: str, times: int) -> None:
    """The check for lost notices, as a gateway does it."""
    for _ in range(times):
        for bucket in range(keys.BUCKETS):
            world.journal.call("FCALL", function("tails"), 1, keys.bucket_prefix(bucket), node)


def sweep(world: World, times: int) -> None:
    """A sweeper's round without anything to do."""
    for _ in range(times):
        Pool(keys.BUCKETS).map(world.sweep.chores, range(keys.BUCKETS))
        Pool(keys.BUCKETS).map(world.sweep.outbox, range(keys.BUCKETS))


def beat(world: World) -> None:
    """A heartbeat."""
    world.journal.call("HINCRBY", keys.NODES, "bench", 1)


def load(world: World, times: int) -> None:
    """A process starts."""
    for _ in range(times):
        world.journal.call("FUNCTION", "LOAD", "REPLACE", library.source())


@contextmanager
def listening(host: Server) -> Iterator[None]:
    """Somebody hears notices."""
    client: Any = redis.Redis.from_url(resolve("embedded", host.config.parent))
    pubsub = client.pubsub()
    pubsub.subscribe("wg:n:bench")
    pubsub.get_message(timeout=5)
    reader = gevent.spawn(lambda: sum(1 for _ in pubsub.listen()))
    yield
    reader.kill()
    client.close()


def wait_for_events(host: Server, times: int) -> None:
    """A push worker that finds nothing in any of the streams, for a second."""
    consumer = Consumer(
        resolve("embedded", host.config.parent), streams=tuple(STREAMS), group=keys.CONSUMER_GROUP, name="bench",
        claim_after_s=3600,
    )  # fmt: skip
    for _ in range(times):
        list(consumer.read(100, block_s=0.001))
    consumer.leave()


def presence_to_contacts(bench: Bench) -> float:
    """One changed presence, for each contact that is online and lives in any bucket."""
    world = bench.world
    people = People(world)
    contacts = [f"u{number}@localhost" for number in range(1, CONTACTS + 1)]
    at = keys.prefix("u0@localhost")
    for contact in contacts:
        world.redis.hset(keys.key(at, "roster", "u0@localhost"), contact, '{"s":"both","v":1}')
        world.redis.hset(keys.key(keys.prefix(contact), "roster", contact), "u0@localhost", '{"s":"both","v":1}')
        people.available(contact)
    me = people.available("u0@localhost")
    people.quiet()

    def say() -> None:
        for number in range(20):
            people.say(me, 0, f"<status>{number}</status>")
        people.quiet()

    return bench.us(say, 20 * CONTACTS)
