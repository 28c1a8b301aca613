"""The offline store as a client that retrieves for itself sees it (XEP-0013): entries with names, which go only when it
says so.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import AsyncResult

from gateway.mailbox import keys
from gateway.mailbox.entry import IQ_RESPONSE, Entry, decode
from gateway.mailbox.errors import StoreError, StoreUnavailable
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Grip, Placed

PIECE = 200
"""entries asked for at once"""

AHEAD = 50
"""copies that may be on their way to the store at once"""

ATTEMPTS = 5
"""to find messages that move because another device takes some at the same moment"""

WAIT_S = 30.0
"""for the store to take one of them"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message that waits: its name (`node`), and all of it."""

    node: str
    entry: Entry


class OfflineStore:
    """What waits for one account. Every method waits, and raises StoreError.

    All but `view` note that the session of `resource` retrieves for itself: then nothing flows to the account's devices
    at their presence for as long as that session lasts.
    """

    def __init__(self, mailbox: Mailbox, user: str, resource: str) -> None:
        self._mailbox = mailbox
        self._user = user
        self._resource = resource

    def count(self) -> int:
        """How many messages wait."""
        return int(self._list(0, 0, "0")[0])

    def headers(self) -> Iterator[tuple[str, bytes]]:
        """Each one's node and start tag, oldest first."""
        at = -1
        while at:
            reply = self._list(max(0, at), PIECE, "0")
            at = reply[1]
            for i in range(2, len(reply), 2):
                yield reply[i].decode(), reply[i + 1]

    def everything(self) -> Iterator[Waiting]:
        """All of them, oldest first, read piece by piece."""
        at = -1
        while at:
            reply = self._list(max(0, at), PIECE, "1")
            at = reply[1]
            for i in range(2, len(reply), 2):
                yield Waiting(reply[i].decode(), decode(reply[i + 1]))

    def view(self, nodes: Sequence[str]) -> list[Waiting] | None:
        """These, in this order, each once; None if one of them is not there."""
        found = {node: Waiting(node, decode(entry)) for _, node, entry in self._find(nodes, "1")}
        wanted = dict.fromkeys(nodes)
        return [found[node] for node in wanted] if len(found) == len(wanted) else None

    def _find(self, nodes: Sequence[str], whole: str) -> Iterator[tuple[int, str, bytes]]:
        """Index, node and entry of those that are there, each once."""
        wanted, at = set(nodes), -1
        while at and wanted:
            reply = self._call("offline_find", self._user, max(0, at), whole, *wanted)
            at = reply[0]
            for i in range(1, len(reply), 3):
                node = reply[i + 1].decode()
                if node in wanted:
                    wanted.remove(node)
                    yield reply[i], node, reply[i + 2]

    def show(self, grip: Grip, stanzas: Iterable[bytes]) -> Iterator[tuple[Placed | None, bytes]]:
        """Put copies into the queue of the session that asked; they are gone when it ends. None: there is no room."""
        sent: deque[tuple[bytes, AsyncResult[Any]]] = deque()
        for stanza in stanzas:
            result: AsyncResult[Any] = AsyncResult()
            self._mailbox.append(grip, kind=IQ_RESPONSE, flags="", inbound=None, stanza=stanza, done=result.set)
            sent.append((stanza, result))
            if len(sent) >= AHEAD:
                yield self._taken(grip, *sent.popleft())
        while sent:
            yield self._taken(grip, *sent.popleft())

    def _taken(self, grip: Grip, stanza: bytes, result: AsyncResult[Any]) -> tuple[Placed | None, bytes]:
        try:
            answer = result.get(timeout=WAIT_S)
        except gevent.Timeout as late:
            raise StoreUnavailable("Redis did not answer in time") from late
        if isinstance(answer, StoreError):
            raise answer
        is_taken = answer[0] in ("ok", "duplicate", "stale")
        return Placed(grip.sid, self._mailbox.node, answer[1]) if is_taken else None, stanza

    def remove(self, nodes: Sequence[str]) -> bool:
        """Forget these, all or none; False if one of them is not there."""
        request = secrets.token_hex(8)
        for _ in range(ATTEMPTS):
            found = [(index, node) for index, node, _ in self._find(nodes, "0")]
            if len(found) < len(set(nodes)):
                return False
            places = (part for place in found for part in place)
            if self._call("offline_remove", self._user, self._resource, request, *places) == b"ok":
                return True
        raise StoreUnavailable("another device takes messages at the same time")

    def purge(self) -> None:
        """Forget everything that waits."""
        self._call("offline_purge", self._user, self._resource, secrets.token_hex(8), *self._mailbox.limits)

    def _list(self, at: int, most: int, whole: str) -> Any:
        return self._call("offline_list", self._user, self._resource, at, most, whole, *self._mailbox.limits)

    def _call(self, operation: str, *arguments: str | int) -> Any:
        return self._mailbox.journal.call("FCALL", function(operation), 1, keys.prefix(self._user), *arguments)
