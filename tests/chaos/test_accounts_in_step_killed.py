"""kill -9 of any process while contacts come and go, agree on subscriptions, publish, block and write: when things have
calmed down everybody sees what is true, and nothing is left in the store that belongs to nobody.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest
import redis

from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.support.actor import Actor
from tests.support.census import Census
from tests.support.eventing import befriend
from tests.support.pieces import eventually
from tests.support.processes import Account, Server, running

SEEDS = range(int(os.environ.get("WAKEGATE_STEP_SEEDS", "1")))
KILLED = [("gateway", "sweeper", "archiver", "gateway"), ("redis", "gateway"), ("gateway", "gateway", "gateway")]
KILLED = KILLED if "WAKEGATE_STEP_SEEDS" in os.environ else KILLED[:2]  # the third only by hand
PLAY_S = 6.0
CALM_S = 60.0
TYPES = ("subscribe", "subscribed", "subscribe", "subscribed", "unsubscribe", "unsubscribed")
WAITING = tuple(keys.KEYS[name].template for name in ("outbox", "endings", "fading", "due", "lastcalls"))
PER_SESSION = tuple(
    keys.KEYS[name].template.partition(":")[0] for name in ("queue", "backlog", "presence", "directed", "session")
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    settings: dict[str, dict[str, Any]] = {
        "redis": {"appendfsync": "always"},
        "archive": {"recent_messages": 10, "interval": 0.1},
        "presence": {"hibernation_available_time": 1},
    }
    with running(tmp_path, arguments=("up", "--gateways", "2"), settings=settings) as server:
        yield server


def settled(actors: Sequence[Actor]) -> bool:
    """All of them, each of which is asked."""
    return all(list(map(Actor.is_settled, actors)))


class Play:
    """Three people who agree on subscriptions and forget them again, one whom they know and who blocks them, and two
    who only write to each other. All but the last one have two devices.
    """

    def __init__(self, server: Server, seed: int) -> None:
        self.server, self.rng, self.census = server, random.Random(seed), Census(server.directory / "data")
        accounts = server.add_accounts(6)
        self.people, self.hermit, self.writers = accounts[:3], accounts[3], accounts[4:]
        for person in self.people:
            befriend(server, self.hermit, person)
        befriend(server, self.writers[0], self.writers[1])
        self.devices = [self._device(account, name) for account in accounts[:5] for name in ("phone", "tablet")]
        self.devices.append(self._device(self.writers[1], "phone"))
        self.visitors = [self._device(account, "visitor", most_s=2) for account in self.people]
        self.written: dict[str, list[str]] = {}
        self.played, self.is_over = 0, False
        self.counts: Counter[str] = Counter()

    def _device(self, account: Account, name: str, most_s: int = 0) -> Actor:
        return Actor(account, name, self.server.address, most_s=most_s)

    def of(self, *accounts: Account) -> list[Actor]:
        return [device for device in self.devices if device.account in accounts]

    def begin(self) -> None:
        for actor in (*self.devices, *self.visitors):
            actor.start()
        eventually(lambda: settled([*self.devices, *self.visitors]), "all are there", 30)

    # What they do

    def has_seen_enough(self) -> bool:
        """However slow the machine is."""
        return self.played > 100 and self.counts["negotiated"] > 20

    def go_on(self) -> None:
        """Anything of what people do."""
        self.played += 1
        if self.played in (60, 100, 140):
            self.visitors[self.played % 3].leave()
        deeds = [self.speak, self.speak, self.rename, self.block, self.write, self.write, self.look]
        self.rng.choice([*deeds, self.publish, self.lose])()

    def negotiate(self, *pair: Account) -> None:
        """One stanza after the other, so that no two of them cross on their way. (Then RFC 6121 itself leaves the sides
        apart: of a request and a cancellation that cross, each makes the other side forget what the first has said.)
        """
        while not self.is_over:
            one, other = self.rng.sample(pair, 2)
            device = self.rng.choice(self.of(one))
            device.subscription(other.jid, self.rng.choice(TYPES))
            while not (device.is_settled() and self.has_arrived(pair)):
                gevent.sleep(0.02)
            self.counts["negotiated"] += 1

    def has_arrived(self, pair: Sequence[Account]) -> bool:
        """Nothing that one of them has said of the other waits in the outbox."""
        jids = {account.jid.encode() for account in pair}
        try:
            waiting = [
                fields
                for user in pair
                for _, fields in self.census.store.xrange(keys.key(keys.prefix(user.jid), "outbox"))
            ]
        except redis.ConnectionError:
            return False
        return not any({fields.get(b"user"), fields.get(b"contact")} == jids for fields in waiting)

    def speak(self) -> None:
        self.rng.choice(self.of(*self.people, self.hermit)).presence(f"s{self.played}")

    def rename(self) -> None:
        item = f"<item jid='{self.hermit.jid}' name='n{self.played}'/>"
        self.rng.choice(self.of(*self.people)).ask("set", f"<query xmlns='{ns.ROSTER}'>{item}</query>")

    def block(self) -> None:
        name, who = self.rng.choice(("block", "unblock")), self.rng.choice(self.people).jid
        payload = f"<{name} xmlns='{ns.BLOCKING}'><item jid='{who}'/></{name}>"
        self.rng.choice(self.of(self.hermit)).ask("set", payload)

    def publish(self) -> None:
        self.rng.choice(self.of(*self.people)).publish(f"t{self.played}")

    def write(self) -> None:
        sender = self.rng.choice(self.of(*self.writers))
        mine = self.written.setdefault(sender.jid, [])
        mine.append(f"{sender.jid} {len(mine)}")
        (other,) = (account for account in self.writers if account != sender.account)
        sender.message(other.jid, mine[-1])

    def look(self) -> None:
        self.rng.choice(self.of(*self.writers)).query()

    def lose(self) -> None:
        self.rng.choice(self.devices).cut()

    # What becomes of it

    def calm(self) -> None:
        """Everybody is back and has said everything, and what waits for the sweeper is done."""
        for visitor in self.visitors:
            visitor.leave()
        eventually(lambda: settled(self.devices), "everybody to be back", CALM_S)
        eventually(lambda: not self.left_behind(), "the sweeper's work", CALM_S)
        eventually(lambda: settled(self.devices), "everybody to have all", CALM_S)

    def left_behind(self) -> list[str]:
        """What the store keeps though nobody waits for it."""
        store = self.census.store
        found, sids = [], set()
        kept = [name.decode() for name in store.scan_iter(keys.ROOT + "{b*", count=1000)]
        for name in kept:
            if ":res:" in name:
                sids |= {sid.decode() for sid in store.hvals(name)}
        for name in kept:
            _, _, kind, of = (name + ":").split(":", 3)
            if kind in WAITING:
                size = {b"stream": store.xlen, b"set": store.scard, b"zset": store.zcard}.get(store.type(name))
                found += [name] * bool(size and size(name))  # none: it has just gone
            elif (kind == "fan" and of) or (kind in PER_SESSION and of.removesuffix(":") not in sids):
                found.append(name)
        return found

    def item(self, user: Account, contact: Account) -> dict[str, Any]:
        raw = self.census.store.hget(keys.key(keys.prefix(user.jid), "roster", user.jid), contact.jid)
        found: dict[str, Any] = json.loads(raw) if raw else {"s": "none"}
        return found

    def is_asked(self, user: Account, by: Account) -> bool:
        return bool(self.census.store.hexists(keys.key(keys.prefix(user.jid), "requests", user.jid), by.jid))

    def unfitting(self) -> list[str]:
        """Pairs whose sides do not fit each other, by RFC 6121 appendix A."""
        found = []
        for user, contact in permutations(self.people, 2):
            mine, theirs = self.item(user, contact), self.item(contact, user)
            reads, is_read = mine["s"] in ("to", "both"), theirs["s"] in ("from", "both")
            asks, is_asked = bool(mine.get("ask")), self.is_asked(contact, user)
            if reads != is_read or asks != is_asked:
                found.append(f"{user.name} {mine} / {contact.name} {theirs} asked {is_asked}")
        return found

    def mistaken(self) -> list[str]:
        """Devices that see somebody who is not to be seen, or not as he is."""
        found = []
        blocked = {jid for device in self.of(self.hermit) for jid in device.blocked}
        for device in self.of(*self.people):
            truth = {each.jid: each.status for each in self.of(device.account)}
            for other in (*self.people, self.hermit):
                reads = self.item(device.account, other)["s"] in ("to", "both") and other != device.account
                if reads and not (other == self.hermit and device.account.jid in blocked):
                    truth |= {each.jid: each.status for each in self.of(other)}
            if truth != device.view:
                found.append(f"{device.jid}: {sorted(truth.items() ^ device.view.items())}")
        return found

    def out_of_step(self) -> list[str]:
        """Devices whose roster or block list is not the account's."""
        found = []
        for device in self.devices:
            at, user = keys.prefix(device.account.jid), device.account.jid
            kept = {
                jid.decode(): (item := json.loads(raw))["s"] + (" ask" if item.get("ask") else "")
                for jid, raw in self.census.store.hgetall(keys.key(at, "roster", user)).items()
            }
            blocked = {jid.decode() for jid in self.census.store.smembers(keys.key(at, "blocked", user))}
            if (kept, blocked) != (device.roster, device.blocked):
                found.append(f"{device.jid}: {kept} {blocked} / {device.roster} {device.blocked}")
        return found

    def lost_or_doubled(self) -> list[str]:
        """Messages that a device of either writer does not have, or has twice."""
        found = []
        for device in self.of(*self.writers):
            expected = Counter(body for sender, all_ in self.written.items() for body in all_ if sender != device.jid)
            came = Counter(device.said)
            found += [f"{device.jid}: {expected - came} missing, {came - expected} too much"] * (expected != came)
        return found


@dataclass
class Killer:
    """Kills one process after the other, and tells how often which."""

    server: Server
    rng: random.Random
    commands: tuple[str, ...]
    struck: Counter[str]

    def run(self) -> None:
        for command in self.rng.sample(self.commands, len(self.commands)):
            gevent.sleep(self.rng.uniform(0.3, PLAY_S / len(self.commands)))
            self.struck[command] += 1
            if command == "redis":
                for process in self.server.redis():
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            else:
                self.server.kill(command)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("commands", KILLED)
def test_whoever_is_killed_everybody_is_in_step_when_it_is_calm(
    server: Server, seed: int, commands: tuple[str, ...]
) -> None:
    play = Play(server, seed)
    try:
        play.begin()
        killer = Killer(server, play.rng, commands, Counter())
        at_work = gevent.spawn(killer.run)
        negotiators = [gevent.spawn(play.negotiate, *pair) for pair in combinations(play.people, 2)]
        with gevent.Timeout(PLAY_S + CALM_S):
            while not (at_work.dead and play.has_seen_enough()):
                play.go_on()
                gevent.sleep(play.rng.uniform(0, 0.03))
        at_work.get()
        play.is_over = True
        assert len(negotiators) == len(gevent.joinall(negotiators, timeout=CALM_S, raise_error=True))
        play.calm()
        titles = {account.jid: f"last of {account.name}" for account in play.people}
        for device in play.of(*play.people):
            device.publish(titles[device.account.jid])
        play.calm()
        readers = {device: device.query() for device in play.of(*play.writers)}
        play.calm()

        assert Counter(commands) == killer.struck
        assert [] == [device.jid for device in play.devices if device.counts["refused"]]
        assert sum(device.counts["resumed"] for device in play.devices) > 0
        assert [] == play.unfitting()
        eventually(lambda: not play.mistaken(), f"presence: {play.mistaken()}")
        assert [] == play.out_of_step()
        assert [] == play.lost_or_doubled()
        assert 0 == play.census.waiting()
        heard = {
            (device.jid, other.jid): device.tunes.get(other.jid)
            for device in play.of(*play.people)
            for other in play.people
            if other == device.account or play.item(device.account, other)["s"] in ("to", "both")
        }
        assert heard == {(device, other): titles[other] for device, other in heard}
        total = sum(len(bodies) for bodies in play.written.values())
        for device, name in readers.items():
            assert device.archived[name][:250] == sorted(set(device.archived[name]), key=device.archived[name].index)
            assert min(total, 250) == len(device.archived[name])
    finally:
        for actor in (*play.devices, *play.visitors):
            actor.leave()
