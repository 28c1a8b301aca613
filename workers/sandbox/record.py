"""What the sandbox received: the newest pushes, with what was answered, and counters that a test can assert."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workers.sandbox.journal import Journal

LIMIT = 100_000


@dataclass(frozen=True, kw_only=True)
class ReceivedPush:
    """One request for a push, accepted or not.

    `status` is the HTTP status that was answered, 0 when a fault left the request without an answer; `accepted` whether
    the push was taken, which a fault may keep from the client. `received_at` is in Unix milliseconds. `push_id` is the
    apns-id, or the message name that FCM gave. `sender` says whose credential it was.
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
    accepted: bool

    def as_json(self) -> dict[str, Any]:
        """The push as JSON values."""
        return asdict(self)


class Record(Journal[ReceivedPush]):
    """Received pushes, oldest first, at most LIMIT of them, numbered from 1; and the sandbox's counters."""

    def __init__(self) -> None:
        super().__init__(LIMIT)
        self.counters: Counter[str] = Counter()
        self._accepted_ids: dict[str, None] = {}

    def add(self, **fields: Any) -> ReceivedPush:
        """Append a push; `fields` are those of ReceivedPush without `seq`. Without `accepted`, status 200 says so."""
        push = ReceivedPush(seq=self.next_seq(), **({"accepted": fields["status"] == 200} | fields))
        self._count(push)
        self.append(push)
        return push

    def _count(self, push: ReceivedPush) -> None:
        self.counters[f"{push.provider}_pushes"] += 1
        self.counters[f"{push.provider}_status_{push.status}"] += 1
        if not push.accepted:
            return
        self.counters[f"{push.provider}_accepted"] += 1
        if push.push_id in self._accepted_ids:
            self.counters[f"{push.provider}_duplicates"] += 1
        self._accepted_ids[push.push_id] = None
        if len(self._accepted_ids) > LIMIT:
            del self._accepted_ids[next(iter(self._accepted_ids))]

    def clear(self) -> int:
        """Forget the pushes and the counters, but go on numbering; returns how many pushes were forgotten."""
        self._accepted_ids.clear()
        self.counters.clear()
        return self.forget()
