"""WAIT behind every group: its answers are given when enough replicas have what was written, and ROLE: whether they
are still the replicas of whoever is master.

WAIT covers what its own connection has written, and everything before that. An operation that wrote nothing, because
it found what another connection wrote a moment ago, would be answered too early: so a write of our own goes before it.
"""

from __future__ import annotations

import socket
from typing import Any, Final

import hiredis

from gateway.mailbox import keys
from gateway.mailbox.dial import Part, ask_all, packed
from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.library import function
from gateway.mailbox.replicas import Replicas, RoleOf

REPLIES: Final = 3
"""to what is sent behind a group"""


class TooFewReplicas(StoreUnavailable):
    """Not enough replicas have what was written: it is told to nobody, and sent again."""

    alert = True
    metric = "too_few_replicas"


class Fence:
    """Of one connection after the other, to one master at a time. `replicas` have to answer within `timeout_s`.
    `role_of` asks other servers what they are (see `replicas`).
    """

    __slots__ = ("_due", "_known", "_replicas", "_timeout_ms", "command", "held")

    def __init__(self, replicas: int, timeout_s: float, role_of: RoleOf) -> None:
        self._replicas = replicas
        self._timeout_ms = max(1, int(timeout_s * 1000))
        self._known = Replicas(role_of)
        self.command = b""
        """what goes behind each group"""
        self.held: list[Any] | None = None
        """answers of the group before it, that are not given yet; None if it has none"""
        self._due = 0

    def begin(self, connection: socket.socket, at: str = keys.bucket_prefix(0)) -> None:
        """A new connection, on which it writes behind the prefix `at`: no answer to the last one matters.

        Raises OSError; TooFewReplicas if it is no use yet; StoreUnavailable if its server may not be master any more.
        """
        self.held, self._due = None, 0
        commands: list[tuple[Part, ...]] = [
            ("FCALL", function("fence"), 1, at),
            ("WAIT", self._replicas, self._timeout_ms),
            ("ROLE",),
        ]
        self.command = b"".join(map(packed, commands))
        self._known.follow(connection.getpeername())
        _, have, role = ask_all(connection, commands)
        self._check(have)
        self._known.look(role)

    def hold(self, answers: list[Any] | None) -> None:
        """The group is answered: what comes next are the fence's own replies."""
        self.held, self._due = answers, REPLIES

    @property
    def is_due(self) -> bool:
        """The next reply is the fence's."""
        return self._due > 0

    def take(self, reply: Any) -> bool:
        """One of its replies; True when it was the last, and all is well. Raises StoreUnavailable."""
        self._due -= 1
        if isinstance(reply, hiredis.ReplyError):
            raise StoreUnavailable(str(reply))
        if self._due == 1:
            self._check(reply)
        elif not self._due:
            self._known.look(reply)
        return not self._due

    def _check(self, have: int) -> None:
        if have < self._replicas:
            raise TooFewReplicas(f"{have} of {self._replicas} replicas have what was written (redis.wait_replicas)")
