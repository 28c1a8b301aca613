"""One request and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gevent.event import AsyncResult

from workers.push.reply import Result

Headers = list[tuple[bytes, bytes, bool]]
"""Names in lower case, values, and whether the value is of use to this request only: then it stays out of the table of
header fields (RFC 7541, section 7.1.3), whose room is for those that come again.
"""


@dataclass(eq=False)
class Exchange:
    """A request on its way through queue and connections; `result` is set exactly once."""

    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    queued_at: float = 0.0
    result: AsyncResult = field(default_factory=AsyncResult, repr=False)
    tries: int = 0
    """Times that this was given to a connection."""

    refusals: int = 0
    """Times that the peer refused its stream."""

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
