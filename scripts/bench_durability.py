"""What each promise about lost writes costs: docs/durability.md. `.venv/bin/python -m scripts.bench_durability`.

For each setting a master with two replicas, all on this machine: messages that are delivered into a queue and
acknowledged, a hundred on their way, and then one at a time.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from gevent.event import Event

from gateway.mailbox.dial import Address
from gateway.mailbox.fence import Fence
from gateway.mailbox.journal import Journal
from gateway.mailbox.model import Delivery
from gateway.mailbox.replicas import role_of
from tests.mailbox.world import JULIET, Client, World
from tests.support.redis_sentinel import RedisSentinel

SECONDS = 5.0
IN_FLIGHT = 100
ALONE = 200
FSYNC = ("no", "everysec", "always")
STANZA = b"<message type='chat'><body>" + 360 * b"x" + b"</body></message>"


class Stream:
    """Messages to one phone, each acknowledged as it comes, `width` of them on their way, for `seconds`."""

    def __init__(self, world: World, phone: Client, width: int) -> None:
        self._world, self._phone, self._width = world, phone, width
        self.times: list[float] = []
        self._left = 0
        self._until = 0.0
        self._over = Event()

    def run(self, seconds: float, most: int = sys.maxsize) -> None:
        """Until the time is over, or so many were sent."""
        self._until, self._left = time.monotonic() + seconds, most
        for _ in range(self._width):
            self._next()
        self._over.wait(seconds + 60)

    def _next(self) -> None:
        self._left -= 1
        began = time.monotonic()

        def delivered(outcome: Any) -> None:
            assert isinstance(outcome, Delivery), outcome
            self.times.append(time.monotonic() - began)
            self._world.mailbox.ack(self._phone.grip, outcome.placed[0].position, lambda _: None)
            if time.monotonic() < self._until and self._left > 0:
                self._next()
            else:
                self._over.set()

        self._world.mailbox.deliver(
            user=JULIET, resource="", sender="romeo@localhost/o", origin=None, kind="m", type="chat", flags="swb",
            stanza=STANZA, done=delivered,
        )  # fmt: skip


def cpu_of(pids: list[int]) -> list[float]:
    """CPU seconds that processes have used."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return [each.user + each.system for each in times]


def measured(redis: RedisSentinel, replicas: int) -> str:
    """One row: throughput; CPU per message of our process, of the master, of a replica; delay of a lonely one."""
    fence = Fence(replicas, 5.0, partial(role_of, Address())) if replicas else None
    world = World(
        f"redis://127.0.0.1:{redis.master_port}", journal=Journal(redis.url, fence=fence), node=f"n{replicas}"
    )
    world.accounts.create(JULIET, {"scheme": "test"})
    phone = world.client(f"phone{replicas}")
    pids = [redis.pid(port) for port in redis.server_ports[:2]]
    Stream(world, phone, IN_FLIGHT).run(0.5)
    before, own, began = cpu_of(pids), time.process_time(), time.monotonic()
    crowd = Stream(world, phone, IN_FLIGHT)
    crowd.run(SECONDS)
    n, seconds = len(crowd.times), time.monotonic() - began
    ours = (time.process_time() - own) / n * 1e6
    master, replica = ((now - then) / n * 1e6 for now, then in zip(cpu_of(pids), before, strict=True))
    alone = Stream(world, phone, 1)
    alone.run(30.0, ALONE)
    waits = sorted(alone.times)
    world.mailbox.close(phone.grip)
    world.close()
    middle, late = (waits[int(len(waits) * part)] * 1000 for part in (0.5, 0.99))
    return f"{n / seconds:,.0f} | {ours:.0f} | {master:.0f} | {replica:.0f} | {middle:.2f} | {late:.2f}"


def main() -> None:
    """Print the table."""
    print("| appendfsync | WAIT | messages/s | us ours | us master | us replica | ms alone | ms alone, p99 |")
    print("|---|---|---|---|---|---|---|---|")
    for fsync in FSYNC:
        with tempfile.TemporaryDirectory() as folder, RedisSentinel(Path(folder), appendfsync=fsync) as redis:
            for replicas in (0, 1, 2):
                print(f"| {fsync} | {replicas or 'none'} | {measured(redis, replicas)} |", flush=True)


if __name__ == "__main__":
    main()
