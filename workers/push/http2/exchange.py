"""One request and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gevent.event import AsyncResult

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Reply:
    """A complete answer. Header names are lower case; a body may be empty."""

    status: int
    headers: dict[str, str]
    body: bytes


class Processed(Enum):
    """Did the peer act upon a request that has no answer?"""

    NO = "no"
    MAYBE = "maybe"


@dataclass(frozen=True)
class Unanswered:
    """No answer came. `processed` says whether sending it once more could do a thing twice."""

    reason: str
    processed: Processed


Result = Reply | Unanswered


@dataclass(eq=False)
class Exchange:
    """A request on its way through queue and connections; `result` is set exactly once."""

    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    queued_at: float = 0.0
    result: AsyncResult = field(default_factory=AsyncResult, repr=False)
    tries: int = 0
    """Times that this was given to a connection."""

    doubtful: int = 0
    """Times that a connection ended without telling whether it was processed."""

    def settle(self, result: Result) -> None:
        """Hand the result to whoever waits; what comes later is ignored."""
        if not self.result.ready():
            self.result.set(result)

    @property
    def is_settled(self) -> bool:
        """Has it a result, or was it given up?"""
        return bool(self.result.ready())
