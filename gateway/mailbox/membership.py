"""Which gateways are there: who has which name, with which library, and who is about to leave.

A name belongs to one process at a time. Two that were given the same one (`[server] node`, or a container that was
copied with its configuration) would reap each other's sessions, so the second is refused while the first one beats.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import gevent

from gateway.errors import WakegateError
from gateway.mailbox import keys, library, nodes
from gateway.mailbox.errors import StoreError
from gateway.mailbox.journal import Journal
from gateway.telemetry import get_logger

log = get_logger(__name__)

_RAISE = """
local found = tonumber(redis.call('GET', KEYS[1]) or 0)
if found < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return found
"""
"""the version of what is stored only rises, whoever starts at the same moment; answers what it was"""

POLL_S = 0.1


class NodeNameTaken(WakegateError):
    """Another gateway that lives has this name."""

    alert = True
    metric = "node_name_taken"


class DataTooNew(WakegateError):
    """A newer build has written here what this one would misread."""

    alert = True
    metric = "data_too_new"


@dataclass(frozen=True, slots=True)
class Member:
    """What a gateway says of itself. `instance` is random, and tells a process from another one with its name."""

    instance: str = ""
    library: str = ""
    is_leaving: bool = False

    @classmethod
    def read(cls, text: bytes) -> Member:
        """What `written` wrote, by this build or another."""
        found: dict[str, Any] = json.loads(text)
        return cls(
            str(found.get("instance", "")), str(found.get("library", "")), is_leaving=bool(found.get("is_leaving"))
        )

    def written(self) -> str:
        """As it stands in Redis."""
        return json.dumps(asdict(self))


def members(journal: Journal) -> dict[str, Member]:
    """What every known gateway says of itself; one of an older build may say nothing."""
    flat = journal.call("HGETALL", keys.NODE_MEMBERS)
    return {flat[i].decode(): Member.read(flat[i + 1]) for i in range(0, len(flat), 2)}


class Membership:
    """One gateway's name. `heartbeat_s`: how often nodes beat."""

    def __init__(self, journal: Journal, node: str, *, heartbeat_s: float) -> None:
        self._journal = journal
        self._node = node
        self._heartbeat_s = heartbeat_s
        self._self = Member(instance=secrets.token_hex(8), library=library.name())

    def join(self) -> None:
        """Take the name. Waits for a heartbeat if a process had it and did not leave in good order.

        Raises NodeNameTaken if it lives, DataTooNew, StoreError.
        """
        self._check_version()
        if self._journal.call("HGET", keys.NODES, self._node) is not None and self._lives():
            raise NodeNameTaken(
                f'server.node: a gateway with the name "{self._node}" is running. Each needs a name of its own; without'
                " the setting it gets one"
            )
        self._journal.call(*self._introduction())

    def _introduction(self) -> tuple[str | int, ...]:
        return ("FCALL", library.function("introduce"), 1, keys.NODE_MEMBERS, self._node, self._self.written())

    def _check_version(self) -> None:
        found = int(self._journal.call("EVAL", _RAISE, 1, keys.DATA_VERSION, library.VERSION))
        if found > library.VERSION:
            raise DataTooNew(
                f"redis.url: what is stored there has version {found}, this build knows {library.VERSION}: go on with "
                "the newer build, or restore a backup from before it"
            )

    def _lives(self) -> bool:
        if self._node in nodes.declared_dead(self._journal):
            return False
        deadline = time.monotonic() + 1.5 * self._heartbeat_s
        before = self._journal.call("HGET", keys.NODES, self._node)
        while time.monotonic() < deadline:
            gevent.sleep(POLL_S)
            if self._journal.call("HGET", keys.NODES, self._node) not in (before, None):
                return True
        return False

    def beat(self, replaced: Callable[[], None]) -> None:
        """Say that this process lives. `replaced` is called if another one has its name by now. Never blocks."""

        def known(reply: Any) -> None:
            if reply is None:  # a sweeper took us for dead and forgot us
                self._journal.submit(_ignore, *self._introduction())
            elif isinstance(reply, bytes) and Member.read(reply).instance != self._self.instance:
                replaced()

        nodes.heartbeat(self._journal, self._node, _ignore)
        self._journal.submit(known, "HGET", keys.NODE_MEMBERS, self._node)

    def begin_to_leave(self, timeout_s: float) -> bool:
        """Tell the others that this one goes. Answers as `others_stay` does."""
        self._self = replace(self._self, is_leaving=True)
        self._journal.submit(_ignore, *self._introduction())
        return self.others_stay(timeout_s)

    def others_stay(self, timeout_s: float) -> bool:
        """Whether there is a gateway that is not about to leave; none is known when Redis is silent for `timeout_s`."""
        try:
            said, dead, beats = self._journal.call_all(
                (
                    ("HGETALL", keys.NODE_MEMBERS),
                    ("SMEMBERS", keys.DEAD_NODES),
                    ("HKEYS", keys.NODES),
                ),
                timeout_s=timeout_s,
            )
        except StoreError as error:
            log.warning("others_not_known", error=str(error))
            return False
        leaving = {said[i] for i in range(0, len(said), 2) if Member.read(said[i + 1]).is_leaving}
        return bool(set(beats) - set(dead) - leaving - {self._node.encode()})

    def leave(self, timeout_s: float) -> None:
        """This one is gone in good order; its sessions hibernate already. Raises StoreError, after `timeout_s` too."""
        nodes.leave(self._journal, self._node, timeout_s)


def _ignore(_reply: Any) -> None:
    """Nobody can act on it: the next beat comes soon."""
