"""What the sandbox received: the newest pushes, with what was answered, and counters that a test can assert."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import gevent
from gevent.event import Event

LIMIT = 100_000


@dataclass(frozen=True, kw_only=True)
class ReceivedPush:
    """One request for a push, accepted or not.

    `status` is the HTTP status that was answered, 0 when a fault left the request without an answer. `received_at` is
    in Unix milliseconds. `push_id` is the apns-id, or the message name that FCM gave. `sender` says whose credential it
    was.
    """

    seq: int
    received_at: int
    provider: str
    environment: str
    token: str
    headers: Mapping[str, str]
    payload: Any
    status: int
    reason: str
    push_id: str
    sender: str
    connection: int
    stream: int

    def as_json(self) -> dict[str, Any]:
        """The push as JSON values."""
        return asdict(self)


class Record:
    """Received pushes, oldest first, at most LIMIT of them, numbered from 1; and the sandbox's counters."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._pushes: deque[ReceivedPush] = deque(maxlen=LIMIT)
        self._last_seq = 0
        self._accepted_ids: dict[str, None] = {}
        self._arrival = Event()

    def add(self, **fields: Any) -> ReceivedPush:
        """Append a push; `fields` are those of ReceivedPush without `seq`."""
        self._last_seq += 1
        push = ReceivedPush(seq=self._last_seq, **fields)
        self._pushes.append(push)
        self._count(push)
        self._arrival.set()
        self._arrival = Event()
        return push

    def _count(self, push: ReceivedPush) -> None:
        self.counters[f"{push.provider}_pushes"] += 1
        self.counters[f"{push.provider}_status_{push.status}"] += 1
        if push.status != 200:
            return
        if push.push_id in self._accepted_ids:
            self.counters[f"{push.provider}_duplicates"] += 1
        self._accepted_ids[push.push_id] = None
        if len(self._accepted_ids) > LIMIT:
            del self._accepted_ids[next(iter(self._accepted_ids))]

    def since(self, seq: int = 0, **wanted: Any) -> list[ReceivedPush]:
        """The pushes numbered above `seq` whose fields equal `wanted` (token="...", provider="apns", status=200)."""
        return [
            push
            for push in self._pushes
            if push.seq > seq and all(getattr(push, name) == value for name, value in wanted.items())
        ]

    def wait(self, seq: int = 0, *, timeout_s: float, count: int = 1, **wanted: Any) -> list[ReceivedPush]:
        """Like `since`, but wait up to `timeout_s` seconds for `count` of them; returns what there is then."""
        with gevent.Timeout(timeout_s, False):
            while len(self.since(seq, **wanted)) < count:
                self._arrival.wait()
        return self.since(seq, **wanted)

    def clear(self) -> int:
        """Forget the pushes and the counters, but go on numbering; returns how many pushes were forgotten."""
        forgotten = len(self._pushes)
        self._pushes.clear()
        self._accepted_ids.clear()
        self.counters.clear()
        return forgotten

    @property
    def last_seq(self) -> int:
        """The number of the newest push ever received, 0 if there was none."""
        return self._last_seq
