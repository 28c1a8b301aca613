"""Many idle sessions; a part of them cut at once; log-ins meanwhile; all of them back at once.

What the machine spends is read from the CPU clocks of the processes, so that other work on it disturbs little. Times
are as a client sees them, from its first try: they need a quiet machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gevent
import psutil
from bench_host import Server, cpu_of, server
from gevent import subprocess as green

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal

CROWDS: Final = 4
"""processes of clients; each may have as many sockets as the limit of descriptors allows"""

AT_ONCE: Final = 16
"""log-ins at a time of each of them, while all arrive"""

VISITS_PER_S: Final = 5.0
VISITORS: Final = 1000
"""accounts that log in and leave, again and again, to see how long it takes"""

CALM_S: Final = 20.0
PARKED_S: Final = 35.0
"""after so long an idle connection has given back what memory it can"""

SHARES: Final = {"p50": 0.5, "p99": 0.99, "most": 1.0}

AS_STRANGERS: Final = "[limits]\nunlimited_addresses = []\n"
"""what comes from this machine is held to the limits as what comes from elsewhere"""

Answer = dict[str, Any]


class Crowd:
    """A process of `bench_crowd.py`."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("bench_crowd.py")
        self._popen: Any = green.Popen([sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process = psutil.Process(self._popen.pid)
        self.ask("visited")  # it is up, and its start costs nobody anything

    def ask(self, do: str, **arguments: Any) -> Answer:
        """One command and its answer."""
        self._popen.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self._popen.stdin.flush()
        line = self._popen.stdout.readline()
        if not line:
            raise SystemExit("a process of clients has ended")
        found: Answer = json.loads(line)
        return found

    def end(self) -> None:
        """Everybody leaves."""
        self.ask("end")
        self._popen.stdin.close()
        self._popen.wait(30)


def together(crowds: Sequence[Crowd], do: str, each: Iterable[Answer]) -> list[Answer]:
    """The same command to all of them at once, each with its own arguments."""
    asked = [gevent.spawn(crowd.ask, do, **arguments) for crowd, arguments in zip(crowds, each, strict=True)]
    gevent.joinall(asked, raise_error=True)
    return [one.value for one in asked]


@dataclass(frozen=True)
class Times:
    """What clients waited, in seconds: from the first try, and from the one that was not turned away."""

    took: list[float]
    served: list[float]
    turned_away: int
    gave_up: int

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> Times:
        """Of answers that hold `took`."""
        answers = list(answers)
        for why in {answer["why"] for answer in answers if answer["why"]}:
            print(f"gave up: {why}", file=sys.stderr)
        return cls(
            sorted(one for answer in answers for one in answer["took"]),
            sorted(one for answer in answers for one in answer["served"]),
            sum(answer["turned_away"] for answer in answers),
            sum(answer["gave_up"] for answer in answers),
        )

    @property
    def many(self) -> int:
        """How many got in."""
        return len(self.took)

    def __str__(self) -> str:
        if not self.took:
            return f"nobody got in, {self.gave_up} gave up"
        said = f"{self.many} got in: {percentiles(self.took)}"
        if self.turned_away:
            said += f"; turned away {self.turned_away} times, {self.gave_up} gave up"
            said += f"; from the try that was taken: {percentiles(self.served)}"
        return said


def percentiles(seconds: list[float]) -> str:
    """Of a sorted list."""
    at = {name: seconds[min(len(seconds) - 1, int(share * len(seconds)))] for name, share in SHARES.items()}
    return ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in at.items())


@dataclass(frozen=True)
class Spent:
    """What something cost: seconds on the clock, CPU seconds by who used them, and calls of Redis."""

    took_s: float
    cpu: dict[str, float]
    calls: int

    def per(self, many: int) -> str:
        """In µs each."""
        cpu = "  ".join(f"{name} {used / many * 1e6:.0f}" for name, used in self.cpu.items())
        calls = f"; Redis calls each: {self.calls / many:.1f}" if self.calls else ""
        return f"{self.took_s:.1f} s; CPU µs each: {cpu}{calls}"

    def per_s(self) -> str:
        """In percent of a core."""
        cpu = "  ".join(f"{name} {used / self.took_s * 100:.1f} %" for name, used in self.cpu.items())
        return f"of a core: {cpu}; Redis calls a second: {self.calls / self.took_s:.0f}"


class Meter:
    """Reads the clocks."""

    def __init__(self, host: Server, crowds: Sequence[Crowd], journal: Journal | None = None) -> None:
        """`journal`: to count what Redis was asked for."""
        self._who = {
            "gateways": list(host.gateways),
            "redis": host.stores,
            **{name: [process] for name, process in host.others.items()},
            "clients": [crowd.process for crowd in crowds],
        }
        self._journal = journal
        self.restart()

    def restart(self) -> None:
        """From now on."""
        self._began = (time.monotonic(), self._cpu(), self._calls())

    def spent(self) -> Spent:
        """Since then."""
        began, cpu, calls = self._began
        now = {name: used - cpu[name] for name, used in self._cpu().items()}
        return Spent(time.monotonic() - began, now, self._calls() - calls)

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_of(*processes) for name, processes in self._who.items()}

    def _calls(self) -> int:
        """Operations of the library, each an FCALL."""
        if self._journal is None:
            return 0
        lines = self._journal.call("INFO", "commandstats").decode().splitlines()
        counts = [line.partition("calls=")[2] for line in lines if line.startswith("cmdstat_fcall")]
        return sum(int(count.partition(",")[0]) for count in counts)


def owned(host: Server, journal: Journal) -> int:
    """Sessions that the gateways have, as Redis knows it."""
    places = [(bucket, number) for bucket in range(keys.BUCKETS) for number in range(len(host.gateways))]
    return sum(
        journal.call_all(
            [("SCARD", keys.key(keys.bucket_prefix(bucket), "owned", f"gateway-{n}")) for bucket, n in places]
        )
    )


def wait_owned(host: Server, journal: Journal, most: int, within_s: float = 120) -> float:
    """Until they have no more than `most`; answers how long that took."""
    began = time.monotonic()
    while owned(host, journal) > most:
        if time.monotonic() - began > within_s:
            raise SystemExit("sessions did not go to sleep")
        gevent.sleep(0.1)
    return time.monotonic() - began


def memory_of(processes: Iterable[psutil.Process]) -> int:
    """Resident bytes."""
    return sum(process.memory_info().rss for process in processes)


@contextmanager
def crowds_of(many: int) -> Iterator[list[Crowd]]:
    """Processes of clients."""
    with ExitStack() as stack:
        made = [Crowd() for _ in range(many)]
        for crowd in made:
            stack.callback(crowd.end)
        yield made


def sessions(*, count: int, cut: int, gateways: int, is_secure: bool) -> None:
    """All of it, printed line by line."""
    users = count + VISITORS
    with (
        server(users, gateways=gateways, others=("sweeper",), sections=AS_STRANGERS) as host,
        crowds_of(CROWDS + 1) as crowds,
    ):
        journal = host.journal()
        journal.start()
        show("machine", machine())
        show("", f"{gateways} gateways, {count} sessions, {'TLS' if is_secure else 'no TLS'}")
        try:
            Round(host, crowds, journal, is_secure).run(count, cut)
        finally:
            journal.stop()


def machine() -> str:
    """Under what conditions this was measured."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning"


def show(what: str, said: object) -> None:
    """One line of the table."""
    print(f"{what:28} {said}", flush=True)


class Round:
    """One server and its crowd; the last process of clients is the visitors'."""

    def __init__(self, host: Server, crowds: Sequence[Crowd], journal: Journal, is_secure: bool) -> None:
        self._host = host
        self._crowds, self._visitors = crowds[:-1], crowds[-1]
        self._journal = journal
        self._to = {"port": (host.secure if is_secure else host.address).port, "is_secure": is_secure}
        self._meter = Meter(host, crowds, journal)

    def run(self, count: int, cut: int) -> None:
        """Arrive, be idle, be cut, come back."""
        self._arrive(count)
        self._idle(count)
        self._visit(first=count)
        self._cut(count, cut)
        self._resume(cut)
        show("load at the end", f"{os.getloadavg()[0]:.1f}")

    def _arrive(self, count: int) -> None:
        each = count // len(self._crowds)
        warm = memory_of(self._host.gateways), memory_of([self._host.redis])
        self._meter.restart()
        starts = range(0, count, each)
        arguments = [{"first": first, "count": each, "at_once": AT_ONCE, **self._to} for first in starts]
        came = Times.of(together(self._crowds, "arrive", arguments))
        spent = self._meter.spent()
        show("log in", came)
        show("", f"{came.many / spent.took_s:.0f} a second; {spent.per(count)}")
        gevent.sleep(PARKED_S)
        gateway = (memory_of(self._host.gateways) - warm[0]) / count / 1024
        redis = (memory_of([self._host.redis]) - warm[1]) / count / 1024
        show("memory of an idle session", f"gateway {gateway:.1f} KB, Redis {redis:.1f} KB")

    def _idle(self, count: int) -> None:
        self._meter.restart()
        gevent.sleep(CALM_S)
        show(f"{count} idle sessions", self._meter.spent().per_s())

    def _visit(self, first: int) -> None:
        self._visitors.ask("visit", first=first, count=VISITORS, per_s=VISITS_PER_S, **self._to)
        gevent.sleep(CALM_S)
        show("visitors, calm", Times.of([self._visitors.ask("visited")]))

    def _cut(self, count: int, cut: int) -> None:
        each = cut // len(self._crowds)
        self._meter.restart()
        began = time.monotonic()
        together(self._crowds, "cut", [{"count": each}] * len(self._crowds))
        said = time.monotonic() - began
        # visitors come and go: some may be on at any moment
        slept = wait_owned(self._host, self._journal, count - cut + int(VISITS_PER_S))
        spent = self._meter.spent()
        gevent.sleep(max(0.0, 5 - spent.took_s))
        show(f"{cut} cut at once", f"in {said:.1f} s; all asleep after {said + slept:.1f} s; {spent.per(cut)}")
        show("visitors meanwhile", Times.of([self._visitors.ask("visited")]))

    def _resume(self, cut: int) -> None:
        each = cut // len(self._crowds)
        self._meter.restart()
        arguments = [{"count": each, "at_once": each}] * len(self._crowds)
        answers = together(self._crowds, "resume", arguments)
        spent = self._meter.spent()
        came = Times.of(answers)
        show(f"{cut} back at once", f"{sum(answer['resumed'] for answer in answers)} resumed; {came}")
        show("", f"{came.many / spent.took_s:.0f} a second; {spent.per(cut)}")
        show("visitors meanwhile", Times.of([self._visitors.ask("visited")]))
