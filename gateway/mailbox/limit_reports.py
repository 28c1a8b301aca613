"""What each gateway process says of its limits every few seconds, by which operators see who runs into them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal

ALIVE_S: Final = 30
"""who has said nothing for longer is gone, or cut off"""


# KEYS[1] string   ARGV report, s to keep it. Goes on when Redis is full: that is when somebody looks.
_REPORT: Final = """#!lua flags=allow-oom
    return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
"""


class LimitReport(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `hits`: limit -> outcome -> how often since its start. `queued`: connections that wait for their
    turn to log in; `lag_ms`: by how much its greenlets ran late; `is_busy`: so much that it binds no new sessions.
    """

    hits: dict[str, dict[str, int]]
    connections: int = 0
    unauthenticated: int = 0
    queued: int = 0
    lag_ms: int = 0
    is_busy: bool = False


def report(journal: Journal, node: str, found: LimitReport) -> None:
    """Say it. Never blocks."""
    journal.submit(_told, "EVAL", _REPORT, 1, keys.LIMITS + node, msgspec.json.encode(found), ALIVE_S)


def _told(_reply: Any) -> None:
    """A report that was lost is followed by another."""


def reports(journal: Journal, nodes: Iterable[str]) -> dict[str, LimitReport]:
    """Of those of these nodes that have reported within `ALIVE_S`. Waits, and raises StoreError."""
    names = list(nodes)
    said = journal.call_all([("GET", keys.LIMITS + name) for name in names])
    return {
        name: msgspec.json.decode(one, type=LimitReport)
        for name, one in zip(names, said, strict=True)
        if one is not None
    }
