"""A run: everything is started, people talk while the nemesis strikes, all heals, and what happened is looked at."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gevent

from scripts.chaos_lab import history as told
from scripts.chaos_lab.cluster import Cluster
from scripts.chaos_lab.device import remember_passwords
from scripts.chaos_lab.history import History
from scripts.chaos_lab.nemesis import Nemesis, schedule
from scripts.chaos_lab.people import People, through
from scripts.chaos_lab.phones import Phones
from scripts.chaos_lab.plan import Plan
from scripts.chaos_lab.proxy import Proxy

PROGRESS_S = 10.0
LONGEST = 3.0
"""a run that has not sent everything after so many times its time ends all the same"""


class Lab:
    """One run. `say` gets a line of progress now and then."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.failures: list[str] = []
        self._say = say
        plan.directory.mkdir(parents=True, exist_ok=True)
        self.history = History(plan.directory / "history")
        self.history.note(told.Run(self.history.started, plan.seed, plan.command, plan.push_grace_s))
        self.cluster = Cluster(plan)
        rng = random.Random(plan.seed)
        self._strikes = schedule(plan, rng)
        self._people = People(plan.accounts, plan.messages, plan.seconds, rng, self.history)
        self._luck = random.Random(rng.random())

    def run(self) -> Path:
        """The history's file. Raises TimeoutError if the cluster cannot be started."""
        remember_passwords()
        try:
            self.cluster.start()
            self.cluster.add_accounts(self.plan.accounts)
            self._play()
        finally:
            self.history.close()
            self.failures = self.cluster.parts.failures()
            self.cluster.stop()
        return self.history.file

    def _play(self) -> None:
        people, history = self._people, self.history
        proxy = Proxy(("127.0.0.1", self.cluster.port))
        people.make(self.cluster.address, through(self.cluster.address, proxy.port))
        phones = Phones(self.cluster.control, people.tokens, history)
        nemesis = Nemesis(self.cluster, proxy, self._luck, history)
        try:
            people.arrive()
            self._say(f"{len(people.lives)} devices of {self.plan.accounts} accounts are there")
            phones.start()
            people.live()
            striking = gevent.spawn(nemesis.play, self._strikes)
            self._wait_talked(nemesis, striking)
            striking.kill()
            nemesis.rest()
            self._settle(nemesis)
            people.read_archives()
            self._count()
            self._say(f"{phones.note_pushes()} pushes were accepted")
        finally:
            phones.stop()
            people.stop()
            proxy.close()

    def _wait_talked(self, nemesis: Nemesis, striking: gevent.Greenlet) -> None:
        """Until everything is sent and every blow has struck."""
        began = said = time.monotonic()
        while self._people.sent < self.plan.messages or not striking.ready():
            gevent.sleep(0.2)
            now = time.monotonic()
            if now - said >= PROGRESS_S:
                said = now
                self._progress(now - began, nemesis)
            if now - began > LONGEST * self.plan.seconds + 30:
                self._say("time is up: not everything was sent")
                return
        self._progress(time.monotonic() - began, nemesis)

    def _progress(self, seconds: float, nemesis: Nemesis) -> None:
        self._say(
            f"{seconds:6.0f} s  {self._people.sent:8} sent  {nemesis.kills:4} kills  {self.history.count:9} events"
        )

    def _settle(self, nemesis: Nemesis) -> None:
        """All processes run, everybody is there, and everything is acknowledged and counted."""
        self._say("blows: " + ", ".join(f"{what} {count}" for what, count in sorted(nemesis.counts.items())))
        with suppress(TimeoutError):
            self.cluster.wait_healthy()
        self._people.finish()
        deadline = time.monotonic() + self.plan.settle_s
        while (late := self._people.unsettled()) and time.monotonic() < deadline:
            gevent.sleep(0.2)
        for life in late:
            device = life.device
            what = f"{life.habit}: {device.unacknowledged} unacknowledged, here: {device.is_here}"
            device.note(told.Unsettled(device.now, device.number, what))
        self._say(f"{len(late)} of {len(self._people.lives)} devices did not settle")

    def _count(self) -> None:
        """What `wakegate status` says as soon as nothing waits, or at last."""
        deadline = time.monotonic() + 30.0
        found = None
        while time.monotonic() < deadline:
            with suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
                found = json.loads(self.cluster.command("status", "--json"))
                if found["messages_waiting"] == 0 and found["outbox"] == 0:
                    break
            gevent.sleep(1.0)
        if found is not None:
            self.history.note(told.Counted(found["fates"], found["messages_waiting"]))
        else:
            self.history.note(told.Unsettled(self.history.now, 0, "`wakegate status` does not answer"))
