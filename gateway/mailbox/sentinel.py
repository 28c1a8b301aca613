"""Redis Sentinel: who is master is asked anew at each connection, and watched while connections stand.

A sentinel may know less than others for a while: the one that knows of the newest failover is believed, and the server
itself has to say that it is master (ROLE). While one of them is replacing that server, no connection to it begins: it
may have hung, and go on without knowing that another has been chosen already. A connection ends when the master has
changed, because a demoted master is told by the sentinels to close its clients; and one that hangs, or that they cannot
reach, is left because they name another.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary

import gevent

from gateway.mailbox.dial import Address, ask, dial, shut
from gateway.mailbox.errors import StoreMisconfigured, StoreUnavailable
from gateway.telemetry import get_logger

log = get_logger(__name__)

SENTINEL_S: Final = 1.0
"""how long one sentinel may take to answer before the next one is asked"""

CONNECT_S: Final = 2.0
"""how long a server that is said to be master may take to let us in: after that, another may be"""

WATCH_S: Final = 1.0
"""how often one of the sentinels is asked, in turn and while there are connections, whether it is still that server"""


NEWS_S: Final = 0.1
"""what sentinels said is true for so long: a failover takes longer"""

FAILOVER_S: Final = 5.0
"""so long a server that is being replaced is not taken for master; a failover that works is over by then"""


@dataclass(frozen=True, slots=True)
class Master:
    """What a sentinel says: who is master, since which of the failovers, that are counted; and whether this sentinel is
    replacing it.
    """

    address: Address
    epoch: int
    is_leaving: bool = False


class SentinelSource:
    """See `dial.Source`. The sentinels at `addresses` watch `service`; `server` says how one gets in to its servers."""

    def __init__(self, addresses: Sequence[Address], service: str, server: Address) -> None:
        self._sentinels = tuple(addresses)
        self._service = service
        self._server = server
        self._open: WeakKeyDictionary[socket.socket, Master] = WeakKeyDictionary()
        self._leaving: dict[Address, float] = {}
        """who is being replaced, and when we first heard of it"""
        self._watcher: gevent.Greenlet | None = None

    def __str__(self) -> str:
        return f'"{self._service}" of the sentinels {", ".join(map(str, self._sentinels))}'

    def locate(self, timeout_s: float) -> Address:
        """See `dial.Source`: found by connecting to it."""
        connection, master = self._find(timeout_s)
        connection.close()
        return master.address

    def dial(self, timeout_s: float) -> socket.socket:
        """See `dial.Source`. The connection is shut down when another server has become master."""
        connection, master = self._find(timeout_s)
        self._open[connection] = master
        if self._watcher is None or self._watcher.dead:
            self._watcher = gevent.spawn(self._watch)
        return connection

    def _find(self, timeout_s: float) -> tuple[socket.socket, Master]:
        """Ask all sentinels at once; of what they name, the newest that says so itself."""
        asked_at = time.monotonic()
        named, why = self._opinions()
        for master in sorted(named, key=lambda each: each.epoch, reverse=True):
            try:
                self._look_whether_it_stays(master)
                return self._connect_soon(master, asked_at, timeout_s), master
            except (OSError, StoreUnavailable) as error:
                why.append(error)
        texts = "; ".join(dict.fromkeys(map(str, why)))
        if why and all(isinstance(error, StoreMisconfigured) for error in why):
            raise StoreMisconfigured(texts)
        raise StoreUnavailable(f"no master of {self}: {texts}")

    def _connect_soon(self, master: Master, asked_at: float, timeout_s: float) -> socket.socket:
        """As `_connect`. Where that took its time the sentinels are asked again: it may have hung until now, and what
        they said may be what was before.
        """
        connection = self._connect(master.address, timeout_s)
        if time.monotonic() - asked_at > NEWS_S:
            try:
                self._ask_again(master)
            except BaseException:
                connection.close()
                raise
        return connection

    def _ask_again(self, master: Master) -> None:
        """Raises StoreUnavailable if it has been replaced, or is about to be."""
        for other in self._opinions()[0]:
            if other.epoch > master.epoch and other.address != master.address:
                raise StoreUnavailable(f"{master.address} has been replaced")
        self._look_whether_it_stays(master)

    def _look_whether_it_stays(self, master: Master) -> None:
        """Raises StoreUnavailable while a sentinel is replacing it."""
        if time.monotonic() - self._leaving.get(master.address, -FAILOVER_S) < FAILOVER_S:
            raise StoreUnavailable(f"{master.address} is being replaced")

    def _opinions(self) -> tuple[set[Master], list[Exception]]:
        named: set[Master] = set()
        why: list[Exception] = []

        def listen(sentinel: Address) -> None:
            try:
                named.add(self._named_by(sentinel))
            except (OSError, StoreUnavailable) as error:
                why.append(error)

        gevent.joinall([gevent.spawn(listen, sentinel) for sentinel in self._sentinels], timeout=3 * SENTINEL_S)
        now = time.monotonic()
        self._leaving = {each.address: self._leaving.get(each.address, now) for each in named if each.is_leaving}
        return named, why

    def _named_by(self, sentinel: Address) -> Master:
        """Raises StoreUnavailable if this sentinel cannot tell now, StoreMisconfigured if it never will."""
        try:
            with dial(sentinel, SENTINEL_S) as connection:
                flat = ask(connection, "SENTINEL", "MASTER", self._service)
        except StoreMisconfigured as error:
            raise StoreMisconfigured(f"sentinel {sentinel}: {error}") from error
        except (OSError, StoreUnavailable) as error:
            if "No such master" in str(error):
                raise StoreMisconfigured(f'sentinel {sentinel} watches no service "{self._service}"') from error
            raise StoreUnavailable(f"sentinel {sentinel}: {error}") from error
        said = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
        address = replace(self._server, host=said["ip"], port=int(said["port"]))
        return Master(address, int(said["config-epoch"]), "failover_in_progress" in said["flags"].split(","))

    @staticmethod
    def _connect(address: Address, timeout_s: float) -> socket.socket:
        """Raises StoreUnavailable when it is no master, cannot be reached, or hangs: the system of a process that hangs
        still takes connections, so the first answer has to come as soon as the connection.
        """
        soon_s = min(CONNECT_S, timeout_s)
        try:
            connection = dial(address, soon_s)
        except OSError as error:
            raise StoreUnavailable(f"{address}: {error}") from error
        try:
            role = ask(connection, "ROLE")[0].decode()
            connection.settimeout(timeout_s)
        except OSError as error:
            connection.close()
            raise StoreUnavailable(f"{address}: {error}") from error
        except BaseException:
            connection.close()
            raise
        if role != "master":
            connection.close()
            raise StoreUnavailable(f"{address} is named as master, but says that it is a {role}")
        return connection

    def _watch(self) -> None:
        """Shut down connections to what is no longer the master. Ends with the last connection."""
        for sentinel in itertools.cycle(self._sentinels):
            gevent.sleep(WATCH_S)
            if all(connection.fileno() < 0 for connection in list(self._open)):
                return
            try:
                now = self._named_by(sentinel)
                for connection, then in list(self._open.items()):
                    if now.epoch > then.epoch and now.address != then.address and connection.fileno() >= 0:
                        self._connect(now.address, SENTINEL_S).close()
                        log.warning("redis_master_changed", former=str(then.address), now=str(now.address))
                        shut(connection)
            except (OSError, StoreUnavailable) as error:
                log.info("redis_master_not_confirmed", error=str(error))
