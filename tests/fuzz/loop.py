"""A loop of our own, guided by lines, for where atheris is not installed: slower, and without anything to install."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.fuzz.coverage import Tracer
from tests.fuzz.fault import TooSlow, in_time
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import MOST_S, Feed


@dataclass
class Run:
    """What a run found."""

    tried: int = 0
    places: int = 0
    inputs: list[bytes] = field(default_factory=list)
    """those that went where none before them had gone"""
    fault: tuple[bytes, BaseException] | None = None


def explore(
    feed: Feed, inputs: Iterable[bytes], words: Iterable[bytes], *, seconds: float, most_bytes: int, seed: int
) -> Run:
    """Try `inputs`, then changed ones, until the time is over or a fault is found."""
    run, tracer, seen = Run(), Tracer(), set[object]()
    known = list(inputs) or [b""]
    mutator = Mutator(run.inputs, list(words), most_bytes=most_bytes, seed=seed)
    deadline = time.monotonic() + seconds
    queue = iter(known)
    while time.monotonic() < deadline:
        data = next(queue, None)
        if data is None:
            data = mutator.next()
        run.tried += 1
        try:
            with in_time(4 * MOST_S):  # tracing is slow
                places = tracer.places(feed, data)
        except (Exception, TooSlow) as error:  # the fault that we look for, whatever it is
            run.fault = (data, error)
            break
        if not run.inputs or not places <= seen:
            seen |= places
            run.inputs.append(data)
    run.places = len(seen)
    return run


def chosen(feed: Feed, inputs: Iterable[bytes], *, most: int, most_bytes: int) -> list[bytes]:
    """A few small inputs that together go nearly everywhere: those to be kept."""
    tracer = Tracer()
    reached: list[tuple[bytes, set[tuple[int, int]]]] = []
    for data in sorted(inputs, key=len):
        if len(data) <= most_bytes:
            try:
                with in_time(4 * MOST_S):
                    reached.append((data, {place[:2] for place in tracer.places(feed, data)}))
            except (Exception, TooSlow):  # a fault is kept by its own name
                continue
    seen: set[tuple[int, int]] = set()
    found: list[bytes] = []
    while reached and len(found) < most:
        best, places = max(reached, key=lambda one: (len(one[1] - seen), -len(one[0])))
        if not places - seen:
            break
        seen |= places
        found.append(best)
    return found
