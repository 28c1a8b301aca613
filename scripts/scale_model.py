"""A large installation, calculated: what each kind of process is busy with, and which has no time left first.

    .venv/bin/python scripts/scale_model.py                         100 gateways, a cluster of 12 shards
    .venv/bin/python scripts/scale_model.py --shards 24 --messages 20
    .venv/bin/python scripts/scale_model.py --slots --shards 12     which slots to give to which shard
    scripts/bench costs | tail -1 > costs.json; .venv/bin/python scripts/scale_model.py --costs costs.json

What an operation costs was measured (`scripts/bench costs sessions gateways push`); how often it is asked for is
assumed, and an option. docs/scale.md says what follows.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from gateway.mailbox import keys
from gateway.mailbox.cluster.slots import SLOTS, slot_of
from gateway.mailbox.node_settings import NodesSettings
from gateway.session.tails import tails_period_s
from workers.sweeper.sweeper import INTERVAL_S

FULL: Final = 0.7
"""of a core: who is busier answers late"""

HOUR: Final = 3600.0


@dataclass(frozen=True)
class Costs:
    """µs of CPU: of Redis, of all its shards together, unless the name says of whom."""

    login: float = 95.0
    hibernate: float = 31.0
    resume: float = 52.0
    message: float = 105.0
    """on a cluster, in three steps, with its acknowledgements; on one Redis 70"""
    notice: float = 2.3
    push: float = 127.0
    push_wait: float = 720.0
    """a worker asks 64 streams of one server; it does so for each push, if pushes come one by one"""
    presence_contact: float = 14.0
    tails_session: float = 3.4
    tails_bucket: float = 34.0
    sweeper_bucket: float = 20.0
    heartbeat: float = 2.1
    gateway_message: float = 105.0
    gateway_login: float = 2600.0
    gateway_hibernate: float = 140.0
    gateway_session_kb: float = 40.0
    redis_session_kb: float = 1.0
    worker_push: float = 140.0


@dataclass(frozen=True)
class Size:
    """What stands there."""

    gateways: int = 100
    shards: int = 12
    connected: int = 20_000
    """sessions on each gateway"""
    asleep: int = 40_000
    """sessions for each gateway that hibernate: most phones, most of the time"""
    sweepers: int = 3
    workers: int = 8
    """that push"""


@dataclass(frozen=True)
class Habits:
    """What a session does in an hour, in the busiest hour."""

    messages: float = 10.0
    """sent"""
    devices: float = 1.5
    """that get each"""
    returns: float = 6.0
    """the phone's link is lost, or given up, and it is back: hibernation, resumption"""
    logins: float = 0.2
    presences: float = 1.0
    contacts: float = 20.0
    """who are online"""


Busy = Mapping[str, float]
"""what a core is busy with, and for how much of the time"""


def redis(costs: Costs, size: Size, habits: Habits) -> Busy:
    """All shards together."""
    connected = size.gateways * size.connected
    sessions = connected + size.gateways * size.asleep
    messages, awake = sessions / HOUR * habits.messages, connected / sessions
    per_push = costs.push + costs.push_wait / size.shards
    period_s = tails_period_s(size.connected)
    us = {
        "messages": messages * costs.message,
        "notices": messages * habits.devices * awake * (1 - 1 / size.gateways) * costs.notice,
        "pushes": messages * habits.devices * (1 - awake) * per_push,
        "sleep, return": sessions / HOUR * habits.returns * (costs.hibernate + costs.resume),
        "log-ins": sessions / HOUR * habits.logins * costs.login,
        "presence": sessions / HOUR * habits.presences * habits.contacts * costs.presence_contact,
        "tails": (connected * costs.tails_session + size.gateways * keys.BUCKETS * costs.tails_bucket) / period_s,
        "sweepers": size.sweepers * keys.BUCKETS * costs.sweeper_bucket / INTERVAL_S,
        "workers wait": size.workers * costs.push_wait,
        "heartbeats": size.gateways * costs.heartbeat / NodesSettings().heartbeat_s,
    }
    return {name: each / 1e6 for name, each in us.items()}


def gateway(costs: Costs, size: Size, habits: Habits) -> Busy:
    """Each of them."""
    per_s = (size.connected + size.asleep) / HOUR
    return {
        "messages": per_s * habits.messages * costs.gateway_message / 1e6,
        "sleep, return": per_s * habits.returns * (costs.gateway_login + costs.gateway_hibernate) / 1e6,
        "log-ins": per_s * habits.logins * costs.gateway_login / 1e6,
    }


def owned(shards: int) -> list[int]:
    """How many buckets each shard has when all got equally many slots, one range each, as `--cluster create` does."""
    found = [0] * shards
    for bucket in range(keys.BUCKETS):
        found[slot_of(keys.bucket_prefix(bucket)) * shards // SLOTS] += 1
    return found


def planned(shards: int) -> list[range]:
    """One range of slots for each shard, so that none has more than one bucket more than another."""
    slots = sorted(slot_of(keys.bucket_prefix(bucket)) for bucket in range(keys.BUCKETS))
    firsts = [0, *(slots[math.ceil(n * keys.BUCKETS / shards)] for n in range(1, shards)), SLOTS]
    return [range(first, after) for first, after in itertools.pairwise(firsts)]


def by_chance(accounts: int, seed: int = 1) -> float:
    """How much more than its share the busiest bucket has: accounts are very unequally busy (Pareto, 1.5)."""
    random.seed(seed)
    load = [0.0] * keys.BUCKETS
    for _ in range(min(accounts, 500_000)):
        load[random.randrange(keys.BUCKETS)] += random.paretovariate(1.5)
    return max(load) * keys.BUCKETS / sum(load)


def report(costs: Costs, size: Size, habits: Habits) -> Iterator[str]:
    """The table, line by line."""
    stores, mine = redis(costs, size, habits), gateway(costs, size, habits)
    sessions = size.gateways * (size.connected + size.asleep)
    messages = sessions / HOUR * habits.messages
    mean = sum(stores.values()) / size.shards
    usual = max(owned(size.shards)) * size.shards / keys.BUCKETS
    best = math.ceil(keys.BUCKETS / size.shards) * size.shards / keys.BUCKETS
    yield f"{size.gateways} gateways with {size.connected:,} connected sessions each, {size.shards} shards"
    yield f"{sessions:,} sessions in all, {size.gateways * size.asleep:,} of them asleep; {messages:,.0f} messages/s"
    yield ""
    yield f"{'':16} {'all shards':>12} {'each':>8} {'gateway':>10}"
    for name in stores:
        own = f"{mine[name]:10.1%}" if name in mine else ""
        yield f"{name:16} {stores[name]:6.2f} cores {stores[name] / size.shards:8.1%} {own}"
    yield f"{'sum':16} {sum(stores.values()):6.2f} cores {mean:8.1%} {sum(mine.values()):10.1%}"
    yield ""
    pushes = messages * habits.devices * size.asleep / (size.asleep + size.connected)
    rows = {
        f"busiest shard, equal ranges of slots (x{usual:.2f})": mean * usual,
        f"busiest shard, slots given out by bucket (x{best:.2f})": mean * best,
        "gateway": sum(mine.values()),
        "push worker": pushes * costs.worker_push / 1e6 / size.workers,
    }
    for name, busy in sorted(rows.items(), key=lambda row: -row[1]):
        yield f"{name:52} {busy:6.1%}   full ({FULL:.0%}) at {FULL / busy:.1f} times as much"
    yield ""
    yield f"busiest bucket by chance: x{by_chance(sessions):.2f}"
    alone = FULL * 1e6 / costs.message
    yield f"one account, at most: {alone:,.0f} messages/s, if nobody else is on its shard"
    yield f"presence to 1,000 contacts: {costs.presence_contact:.0f} ms of Redis, spread over the shards"
    memory = size.connected * costs.gateway_session_kb / 1e6, sessions * costs.redis_session_kb / 1e6 / size.shards
    yield f"memory: {memory[0]:.1f} GB of each gateway, {memory[1]:.1f} GB of each shard, without messages and archives"


def options() -> tuple[argparse.Namespace, list[type[Any]]]:
    """An option for everything that is assumed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", type=Path, help="JSON, as `scripts/bench costs` prints it")
    parser.add_argument("--slots", action="store_true", help="print which slots each shard should have")
    for kind in (Size, Habits):
        for field in fields(kind):
            parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    return parser.parse_args(), [Size, Habits]


def main() -> None:
    """Calculate and print."""
    chosen, kinds = options()
    size, habits = (kind(**{field.name: getattr(chosen, field.name) for field in fields(kind)}) for kind in kinds)
    if chosen.slots:
        for number, slots in enumerate(planned(size.shards)):
            print(f"shard {number + 1:2}: {slots[0]}-{slots[-1]}")
        return
    costs = Costs()
    if chosen.costs:
        found = json.loads(chosen.costs.read_text())
        found.pop("message", None)  # of one Redis, one step of three
        costs = replace(costs, **{field.name: found[field.name] for field in fields(Costs) if field.name in found})
    print("\n".join(report(costs, size, habits)))


if __name__ == "__main__":
    main()
