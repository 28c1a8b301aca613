"""What one process believes of who serves which slots, and whom it asks next."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from gateway.mailbox.cluster import topology
from gateway.mailbox.cluster.topology import Topology
from gateway.mailbox.dial import Address

OLD_NEWS_S: Final = 10.0
"""after so long without a node that knows as much as we have heard of, one that knows less is believed"""


class Survey:
    """`known` is what is believed, None at first; `seeds` are asked as long as it is, and when nobody else answers."""

    def __init__(self, seeds: Sequence[Address]) -> None:
        self.known: Topology | None = None
        self._seeds = seeds
        self._hint: Address | None = None
        self._old_news_since: float | None = None

    def hint(self, host_port: str) -> None:
        """A redirection named this node: it is asked first."""
        self._hint = topology.at(self._seeds[0], host_port)

    def look(self, silent: Collection[Address]) -> bool:
        """Ask the cluster; whether something has changed. `silent`: nodes that do not answer us.

        Raises OSError, StoreUnavailable, ConfigError.
        """
        known = self.known
        found = topology.ask_around(self._whom_to_ask(silent), least_epoch=known.epoch if known else 0)
        if known is not None and found.epoch < known.epoch:
            now = time.monotonic()
            self._old_news_since = self._old_news_since or now
            if now - self._old_news_since < OLD_NEWS_S:
                return False
        self._old_news_since = None
        self.known = found
        return found != known

    def _whom_to_ask(self, silent: Collection[Address]) -> Iterator[Address]:
        """Who was named by a redirection, then everybody in a random order; last those who do not answer."""
        hint, self._hint = self._hint, None
        if hint is not None:
            yield hint
        nodes = list(self.known.nodes if self.known else ())
        random.shuffle(nodes)
        yield from (node for node in nodes if node not in silent)
        yield from self._seeds
        yield from silent
