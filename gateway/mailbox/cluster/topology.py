"""Who serves which slots of a cluster: asked of its nodes, of several at once, and believed by the cluster's own clock.

The cluster counts its changes: each failover and each move of a slot raises the number that every node gossips
(`cluster_current_epoch`). A node that knows of fewer changes than we have heard of is not believed: it may be a former
master that stood still while its replica took over, and still takes itself for the master.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import gevent

from gateway.mailbox.cluster.slots import SLOTS
from gateway.mailbox.dial import Address, ask_all, dial
from gateway.mailbox.errors import StoreMisconfigured, StoreUnavailable

ASKED_AT_ONCE: Final = 3

ANSWER_S: Final = 1.5
"""how long a node may take to tell; the others are asked meanwhile"""


@dataclass(frozen=True, slots=True)
class Topology:
    """`starts`, `ends`, `masters`: the ranges of slots, by their first slot. `nodes`: everybody, replicas as well."""

    epoch: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    masters: tuple[Address, ...]
    nodes: frozenset[Address]

    def owner(self, slot: int) -> Address | None:
        """The master of a slot; None if nobody serves it."""
        at = bisect.bisect_right(self.starts, slot) - 1
        return self.masters[at] if at >= 0 and slot <= self.ends[at] else None

    @property
    def is_whole(self) -> bool:
        """Every slot is served."""
        return sum(self.ends) - sum(self.starts) + len(self.starts) == SLOTS


def ask_node(node: Address) -> Topology:
    """What one node says. Raises OSError, StoreUnavailable."""
    with dial(node, ANSWER_S) as connection:
        info, ranges = ask_all(connection, [("CLUSTER", "INFO"), ("CLUSTER", "SLOTS")])
    facts = dict(line.split(":", 1) for line in info.decode().split() if ":" in line)
    return _read(node, int(facts.get("cluster_current_epoch", 0)), ranges)


def ask_around(nodes: Iterable[Address], *, least_epoch: int) -> Topology:
    """Ask `nodes` in their order, a few at a time, until one knows of at least `least_epoch` changes; else the one that
    knows most. Raises StoreUnavailable if nobody answers, StoreMisconfigured if nobody lets us in.
    """
    best: Topology | None = None
    why: list[Exception] = []
    for some in _by_number(list(dict.fromkeys(nodes)), ASKED_AT_ONCE):
        asked = [gevent.spawn(_opinion, node) for node in some]
        try:
            for answer in gevent.iwait(asked, timeout=2 * ANSWER_S):
                said = answer.value
                if isinstance(said, Topology):
                    if best is None or said.epoch > best.epoch:
                        best = said
                    if said.epoch >= least_epoch:
                        return said
                elif said is not None:
                    why.append(said)
        finally:
            gevent.killall(asked, block=False)
    if best is not None:
        return best
    text = "; ".join(dict.fromkeys(map(str, why))) or "no node of the cluster answers"
    if why and all(isinstance(error, StoreMisconfigured) for error in why):
        raise StoreMisconfigured(text)
    raise StoreUnavailable(text)


def _opinion(node: Address) -> Topology | Exception:
    try:
        return ask_node(node)
    except (OSError, StoreUnavailable) as error:
        return type(error)(f"{node}: {error}") if isinstance(error, StoreUnavailable) else StoreUnavailable(str(error))


def _by_number(nodes: Sequence[Address], most: int) -> Iterator[Sequence[Address]]:
    for start in range(0, len(nodes), most):
        yield nodes[start : start + most]


def _read(asked: Address, epoch: int, ranges: Sequence[Any]) -> Topology:
    """Of CLUSTER SLOTS. A node that knows no name for itself leaves the host out: then it is the one asked."""
    nodes: set[Address] = set()
    found: list[tuple[int, int, Address]] = []
    for first, last, *members in ranges:
        addresses = [_address(asked, member) for member in members]
        nodes.update(addresses)
        found.append((first, last, addresses[0]))
    if not found:
        raise StoreUnavailable(
            f"{asked} knows nobody who serves slots: it is no member of a cluster, or has just started"
        )
    found.sort(key=lambda each: each[0])
    starts, ends, masters = zip(*found, strict=True)
    return Topology(epoch, starts, ends, masters, frozenset(nodes))


def _address(asked: Address, member: Sequence[Any]) -> Address:
    host = (member[0] or b"").decode()
    return replace(asked, host=asked.host if host in ("", "?") else host, port=member[1])


def at(server: Address, host_port: str) -> Address | None:
    """The address in a redirection, e.g. `10.0.0.7:6379`; None if it names no host."""
    host, _, port = host_port.rpartition(":")
    return replace(server, host=host, port=int(port)) if host and port.isdigit() else None
