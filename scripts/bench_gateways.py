"""Messages a second through one gateway, and through several on the same ports, over the same Redis.

Two cores have to serve clients and Redis as well: so a gateway may be given a share of a core, and what is seen is
whether two shares carry twice as much. What each message costs whom does not depend on that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import gevent
import psutil
from bench_host import Server, ran_s, server
from bench_sessions import Meter, crowds_of, machine, show, together

SLICE_S: Final = 0.01

CROWDS: Final = 2

LONGEST_S: Final = 600


def gateways(*, numbers: Sequence[int], share: float, clients: int, messages: int, masters: int) -> None:
    """One line for each number of gateways. `share` of a core for each of them, 0 = as much as it gets; `masters` of a
    Redis Cluster instead of one Redis, 0 = one Redis.
    """
    show("machine", machine())
    for number in numbers:
        with (
            store(masters) as (url, stores),
            server(clients, gateways=number, redis_url=url, stores=stores) as host,
            crowds_of(CROWDS) as crowds,
            throttled(host, share),
        ):
            measure(host, crowds, clients, messages, share)


def measure(host: Server, crowds: Sequence[Any], clients: int, messages: int, share: float) -> None:
    """Log in, talk, print."""
    each = clients // len(crowds) // 2 * 2
    to = {"port": host.address.port, "is_secure": False, "at_once": 8}
    together(crowds, "arrive", [{"first": n * each, "count": each, **to} for n in range(len(crowds))])
    talk = [{"count": messages // len(crowds), "outstanding": 20}] * len(crowds)
    together(crowds, "talk", [{"count": each * 20, "outstanding": 20}] * len(crowds))  # warm
    meter = Meter(host, crowds)
    said = together(crowds, "talk", talk)
    spent = meter.spent()
    many = sum(answer["delivered"] for answer in said)
    used = sum(spent.cpu.values()) / spent.took_s
    allowed = f", {share:g} of a core each" if share else ""
    show(
        f"gateways: {len(host.gateways)}{allowed}",
        f"{many / spent.took_s:.0f} messages/s; {used:.2f} cores busy with it",
    )
    show("", spent.per(many))


@contextmanager
def store(masters: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """The address of Redis, and its processes if they run already."""
    if not masters:
        yield "embedded", []
        return
    from tests.support.redis_cluster import RedisCluster

    with TemporaryDirectory() as folder, RedisCluster(Path(folder), masters=masters, replicas=0) as cluster:
        processes = [psutil.Process(node.process.pid) for node in cluster.nodes if node.process is not None]
        yield cluster.url, processes


@contextmanager
def throttled(host: Server, share: float) -> Iterator[None]:
    """Each gateway runs for `share` of the time at most: stopped and continued by signals, slice by slice."""
    with ExitStack() as stack:
        for process in host.gateways if share else ():
            runner = gevent.spawn(_throttle, process, share)
            stack.callback(process.resume)
            stack.callback(runner.kill)
        yield


def _throttle(process: psutil.Process, share: float) -> None:
    began, before, is_stopped = time.monotonic(), ran_s(process), False
    while True:
        gevent.sleep(SLICE_S)
        allowed_s = (time.monotonic() - began) * share
        # What was not used is not saved up for later.
        spare_s = allowed_s - (ran_s(process) - before)
        if spare_s > 2 * SLICE_S:
            before -= spare_s - 2 * SLICE_S
        if (spare_s < 0) != is_stopped:
            is_stopped = spare_s < 0
            (process.suspend if is_stopped else process.resume)()
