"""The replicas that a master has had: is one of those that are missing master by now?

A master that hangs for longer than its sentinels (or its cluster) wait is replaced, and may go on later without
knowing it. Replicas that were not chosen follow it for a second or two, and WAIT counts them: what they have is thrown
away when they follow the new master. But the replica that was chosen has left it, which ROLE shows at once; and that
one says itself what it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from gateway.mailbox.dial import Address, ask, dial
from gateway.mailbox.errors import StoreMisconfigured, StoreUnavailable
from gateway.telemetry import get_logger

log = get_logger(__name__)

HostPort = tuple[str, int]

RoleOf = Callable[[HostPort], str]
"""`master`, `slave`, …; "" when nobody listens there, or nobody that answers us. Raises StoreUnavailable when nothing
is heard, which may be a server that hangs.
"""

ANSWER_S: Final = 0.5
"""so long a server may take to say what it is"""

DOUBT_S: Final = 5.0
"""so long a former replica that is master, or that hangs, holds up its former master: a failover is over by then"""


def role_of(server: Address, at: HostPort) -> str:
    """See `RoleOf`; `server` says how one gets in."""
    address = replace(server, path="", host=at[0], port=at[1], db=0)
    try:
        with dial(address, ANSWER_S) as connection:
            return str(ask(connection, "ROLE")[0].decode())
    except (ConnectionRefusedError, StoreMisconfigured):
        return ""
    except OSError as silent:
        raise StoreUnavailable(f"{address}: {silent}") from silent


class Replicas:
    """Of the master of one connection after the other."""

    __slots__ = ("_away", "_doubted", "_master", "_role_of", "_seen")

    def __init__(self, role_of: RoleOf) -> None:
        self._role_of = role_of
        self._master: Any = None
        self._seen: set[HostPort] = set()
        self._away: set[HostPort] = set()
        self._doubted: dict[HostPort, float] = {}

    def follow(self, master: Any) -> None:
        """A new connection, to the server with this name. Those of another master are forgotten."""
        if master != self._master:
            self._master = master
            self._seen.clear()
            self._away.clear()
            self._doubted.clear()

    def look(self, reply: Any) -> None:
        """What the master says to ROLE. Raises StoreUnavailable if it may have been replaced."""
        if reply[0] != b"master":
            raise StoreUnavailable("it is no master any more")
        here = {(host.decode(), int(port)) for host, port, _offset in reply[2]}
        if here == self._seen and not (self._away or self._doubted):
            return
        self._seen |= here
        self._away -= here
        for at in here & self._doubted.keys():
            del self._doubted[at]
        for at in self._seen - here - self._away:
            self._doubt(at)

    def _doubt(self, at: HostPort) -> None:
        try:
            role = self._role_of(at)
        except StoreUnavailable as silent:
            role = str(silent)
        if role == "":
            self._away.add(at)
        elif role != "slave":
            now = time.monotonic()
            if now - self._doubted.setdefault(at, now) < DOUBT_S:
                raise StoreUnavailable(f"a replica may have become master in its place: {at[0]}:{at[1]}: {role}")
            log.warning("replica_left", replica=f"{at[0]}:{at[1]}", role=role)
            self._away.add(at)
