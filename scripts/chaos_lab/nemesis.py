"""What strikes the cluster, and when. The seed decides; how far the cluster has come by then is its own affair."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import gevent

from scripts.chaos_lab.cluster import Cluster
from scripts.chaos_lab.history import History, Struck
from scripts.chaos_lab.plan import VICTIMS, Plan
from scripts.chaos_lab.processes import Part
from scripts.chaos_lab.proxy import Proxy

KILL, TERM, PAUSE, CLOCK = "kill", "term", "pause", "clock"

SERVED_S: Final = 2.0
"""a process that has not served for so long is left alone"""

WAIT_S: Final = 20.0
"""for so long it is waited for a process that could be struck"""

LINK_FAULT_S: Final = 0.4
"""about so often the network hurts somebody's link"""

CUT_ALL_CHANCE: Final = 0.02

DESERTED_CHANCE: Final = 0.5
"""a gateway that is paused is left by its clients: what they said meanwhile is heard when they are elsewhere"""

DESERTED_AFTER_S: Final = 2.0


@dataclass(frozen=True)
class Strike:
    """One entry of the schedule. A pause lasts `seconds`."""

    after_s: float
    victim: str
    way: str
    seconds: float
    luck: float


def schedule(plan: Plan, rng: random.Random) -> list[Strike]:
    """So many kills as planned (other blows come on top), at random moments of the time, in order."""
    weights = [VICTIMS[victim] for victim in plan.victims]
    found: list[Strike] = []
    killed = 0
    while killed < plan.kills:
        victim = rng.choices(plan.victims, weights)[0]
        way = rng.choices((KILL, TERM, PAUSE, CLOCK), (10, 2, plan.pauses, plan.clocks))[0]
        strike = Strike(rng.uniform(0.03, 0.97) * plan.seconds, victim, way, rng.uniform(2.0, 15.0), rng.random())
        if way != PAUSE or not plan.unpaused:
            found.append(strike)
        killed += way in (KILL, TERM)
    return sorted(found, key=lambda strike: strike.after_s)


class Nemesis:
    """Plays a schedule, and the bad network beside it."""

    def __init__(self, cluster: Cluster, proxy: Proxy, rng: random.Random, history: History) -> None:
        self.counts: Counter[str] = Counter()
        self.kills = 0
        self._cluster = cluster
        self._proxy = proxy
        self._rng = rng
        self._history = history
        self._pauses: list[gevent.Greenlet] = []
        self._links: gevent.Greenlet | None = None

    def play(self, strikes: list[Strike]) -> None:
        """Returns when the last one has struck."""
        self._links = gevent.spawn(self._hurt_links)
        began = self._history.now
        for strike in strikes:
            gevent.sleep(max(0.0, began + strike.after_s - self._history.now))
            self._strike(strike)

    def rest(self) -> None:
        """No more of it: what is paused goes on, and links are whole."""
        if self._links is not None:
            self._links.kill()
        with gevent.Timeout(40, False):
            while waiting := [pause for pause in self._pauses if not pause.ready()]:
                gevent.joinall(waiting)
        gevent.killall(self._pauses)
        self._cluster.clocks.set_right()
        self._proxy.heal()

    def _strike(self, strike: Strike) -> None:
        if strike.way == CLOCK:
            whose, seconds = self._cluster.clocks.jump(strike.victim, random.Random(strike.luck))
            if whose:
                self._note(f"clock {seconds:+.1f} s", whose, 0.0)
            return
        if strike.victim == "redis":
            self._strike_store(strike)
            return
        there = self._victims(strike.victim)
        if not there:
            return
        part = there[int(strike.luck * len(there))]
        if strike.way == PAUSE:
            seconds = strike.seconds
            if strike.victim == "gateway" and random.Random(strike.luck).random() < DESERTED_CHANCE:
                self._during("desert", "links", partial(self._desert, seconds))
            self._during(f"pause {seconds:.1f} s", part.spec.name, lambda: part.pause(seconds))
        else:
            self._note(strike.way, part.spec.name, 0.0)
            self.kills += 1
            part.strike(signal.SIGKILL if strike.way == KILL else signal.SIGTERM)

    def _desert(self, seconds: float) -> None:
        gevent.sleep(DESERTED_AFTER_S)
        self._proxy.lose_all(seconds)

    def _victims(self, kind: str) -> list[Part]:
        """Who can be struck: where starts take long, nobody would ever serve if everybody was."""
        until = self._history.now + WAIT_S
        parts = self._cluster.parts.of(kind)
        while parts and self._history.now < until:
            ready = [part for part in parts if part.served_s >= SERVED_S and not part.is_paused]
            if ready:
                return ready
            gevent.sleep(0.1)
        return []

    def _strike_store(self, strike: Strike) -> None:
        """Beside all others: it may have to be waited for."""
        self._pauses.append(gevent.spawn(self._strike_store_when_it_can, strike))

    def _strike_store_when_it_can(self, strike: Strike) -> None:
        rng, until = random.Random(strike.luck), self._history.now + WAIT_S
        is_kill = strike.way != PAUSE
        while not (blows := [blow for blow in self._cluster.store.blows(rng) if blow.is_kill == is_kill]):
            if self._history.now > until:
                return
            gevent.sleep(0.2)
        blow = rng.choice(blows)
        self.kills += blow.is_kill
        self._during(blow.name, "redis", blow.strike)

    def _during(self, what: str, whom: str, deed: Callable[[], None]) -> None:
        """A blow that takes its time, beside all others."""

        def run() -> None:
            began = self._history.now
            try:
                deed()
            finally:
                self.counts[f"{what.partition(' ')[0]} {whom.partition('.')[0]}"] += 1
                self._history.note(Struck(began, self._history.now, what, whom))

        self._pauses.append(gevent.spawn(run))

    def _note(self, what: str, whom: str, seconds: float) -> None:
        self.counts[f"{what.partition(' ')[0]} {whom.partition('.')[0]}"] += 1
        now = self._history.now
        self._history.note(Struck(now, now + seconds, what, whom))

    def _hurt_links(self) -> None:
        while True:
            gevent.sleep(self._rng.uniform(0.2, 1.8) * LINK_FAULT_S)
            if self._rng.random() < CUT_ALL_CHANCE:
                self._note(f"cut {self._proxy.cut_all()}", "links", 0.0)
            else:
                self._proxy.hurt_one(self._rng, lambda fault, seconds: self._note(fault, "link", seconds))
