"""Two devices of an account and somebody else, a thousand messages, links that break, apps that are killed, a phone
that is away for longer than it may resume, a gateway that dies: in the end every device has the archive's history.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import gevent
import pytest

from gateway.demo.stream import Address
from tests.support.census import Census
from tests.support.device import AFTER_A_BREAK, FOR_THE_ORDER, UNACKNOWLEDGED, WHILE_LOOKING, Device
from tests.support.pieces import eventually
from tests.support.processes import Server, running
from tests.support.proxy import Proxy, proxy_to

MESSAGES = 1000
TALK_S = 8.0
HIBERNATION_S = 2

SEEDS = range(int(os.environ.get("WAKEGATE_DEVICE_SEEDS", "1")))

UNAVOIDABLE = {
    # Copies have to be on before the archive is asked, or what came in between would be in neither.
    WHILE_LOOKING,
    # So it is in the session's queue; the broken query is asked again, and its answer has it, too.
    AFTER_A_BREAK,
    # A message to the bare JID waited offline, a later one to the full JID did not: only the archive knows their order.
    FOR_THE_ORDER,
    # Only an acknowledgement says that a device has something. What it was not shown by the archive comes again.
    UNACKNOWLEDGED,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"smacks": {"smacks_hibernation_time": HIBERNATION_S, "smacks_max_ack_delay": 1.0}}
    with running(tmp_path_factory.mktemp("devices"), settings=settings) as server:
        server.stock_accounts(2 * len(SEEDS))
        yield server


@dataclass
class Party:
    """A device and the network that it is on."""

    device: Device
    proxy: Proxy
    peers: list[str] = field(default_factory=list)

    def away(self, seconds: float) -> None:
        """Out of reach."""
        self.proxy.refusing = True
        self.proxy.cut()
        gevent.sleep(seconds)
        self.proxy.refusing = False


def talk(party: Party, names: list[str], rng: random.Random) -> None:
    """Say something now and then; chat states between."""
    for name in names:
        if rng.random() < 0.2:
            party.device.type(party.peers[0])
        party.device.say(rng.choice(party.peers), name)
        gevent.sleep(rng.expovariate(len(names) / TALK_S))


def break_links(party: Party, rng: random.Random, until: float) -> None:
    """Every second or so the link is lost, mostly for a moment; sometimes the app goes as well."""
    while time.monotonic() < until:
        gevent.sleep(rng.uniform(0.2, 1.6))
        what = rng.random()
        if what < 0.25:
            party.device.restart()
            party.proxy.cut()
        elif what < 0.6:
            party.proxy.cut(reset=rng.random() < 0.5)
        else:
            party.away(rng.uniform(0, 0.8))


def rest_at_times(party: Party, rng: random.Random, until: float) -> None:
    while time.monotonic() < until:
        gevent.sleep(rng.uniform(0.1, 1.0))
        party.device.rest(True)
        gevent.sleep(rng.uniform(0.1, 1.5))
        party.device.rest(False)


def kill_gateways(server: Server, times: int, rng: random.Random) -> None:
    for _ in range(times):
        gevent.sleep(rng.uniform(1.2, TALK_S / times))
        server.kill("gateway")


def tell_troubles(server: Server, parties: list[Party], seed: int, rng: random.Random) -> list[gevent.Greenlet]:
    """What goes wrong while they talk."""
    phone, laptop, _romeo = parties
    until = time.monotonic() + TALK_S
    return [
        *(gevent.spawn(break_links, party, random.Random(rng.random()), until) for party in parties),
        gevent.spawn_later(rng.uniform(1, 3), phone.away, HIBERNATION_S + 2),
        gevent.spawn(rest_at_times, laptop, random.Random(rng.random()), until),
        gevent.spawn(kill_gateways, server, seed % 3, random.Random(rng.random())),
    ]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_device_ends_with_the_history_of_the_archive(server: Server, seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    juliet, other = server.account(), server.account()
    with ExitStack() as stack:
        parties = []
        for account, resource in ((juliet, "phone"), (juliet, "laptop"), (other, "orchard")):
            proxy = stack.enter_context(proxy_to(server.ports["c2s"]))
            device = Device(account, resource, behind(server, proxy))
            parties.append(Party(device.start(), proxy))
            stack.callback(device.leave)
        phone, laptop, romeo = parties
        phone.peers = laptop.peers = [other.jid, other.jid, romeo.device.jid]
        romeo.peers = [juliet.jid, juliet.jid, juliet.jid, phone.device.jid, laptop.device.jid]
        eventually(lambda: all(party.device.is_open for party in parties), "everybody to be there")
        names = [f"{seed}-{number:04}" for number in range(MESSAGES)]
        shares = (names[: MESSAGES // 4], names[MESSAGES // 4 : MESSAGES // 2], names[MESSAGES // 2 :])
        talking = [
            gevent.spawn(talk, party, share, random.Random(rng.random()))
            for party, share in zip(parties, shares, strict=True)
        ]
        gevent.joinall([*talking, *tell_troubles(server, parties, seed, rng)], raise_error=True)
        settle(server, parties)
        check(server, parties, names, seed, stack)


def behind(server: Server, proxy: Proxy) -> Callable[[], Address]:
    """Where the server is, through a network that may be bad."""
    return lambda: replace(server.address(), host="127.0.0.1", port=proxy.port)


def settle(server: Server, parties: list[Party]) -> None:
    """Until nothing is on its way any more."""
    census = Census(server.directory / "data")

    def is_quiet() -> bool:
        for party in parties:
            party.device.ask_for_ack()
        return all(party.device.is_settled for party in parties) and not census.waiting()

    try:
        eventually(is_quiet, "everything to arrive", 40)
    except AssertionError as late:
        states = [(one.device.resource, one.device.is_open, one.device.unsettled) for one in parties]
        raise AssertionError(f"{late}: {states}, {census.waiting()} wait. {server.log()[-3000:]}") from late


def check(server: Server, parties: list[Party], names: list[str], seed: int, stack: ExitStack) -> None:
    fates = Census(server.directory / "data").fates()
    archives = {}
    for account in {party.device.account for party in parties}:
        judge = Device(account, "judge", server.address).start()
        stack.callback(judge.leave)
        eventually(lambda judge=judge: judge.is_open, "a look at the whole archive")
        archives[account] = judge.history
    report(parties, seed, fates)

    for party in parties:
        device = party.device
        archive = archives[device.account]
        assert sorted(names) == sorted(origin for _, origin in archive), "everything is in the archive, once"
        own = set(device.sent)
        assert [one for one in archive if one[1] not in own] == device.history, device.jid
        assert [] == device.errors
        assert set(device.dropped) <= UNAVOIDABLE
    assert fates["accepted"] == fates["acked"] + fates["archived"] + fates["bounced"] + fates["dropped"]


def report(parties: list[Party], seed: int, fates: Counter[str]) -> None:
    """For who reads the figures: pytest -s."""
    for party in parties:
        device = party.device
        print(f"seed {seed} {device.resource:8} {len(device.history)} shown", dict(device.counts), dict(device.dropped))
    print(f"seed {seed} fates so far {dict(fates)}")
