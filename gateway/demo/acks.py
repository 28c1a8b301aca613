"""XEP-0198, section 4, from the client's side: what was sent and is not acknowledged yet, and what was received."""

from collections import deque
from dataclasses import dataclass

from gateway.errors import WakegateError

_MODULUS = 2**32


class WrongAck(WakegateError):
    """The server acknowledged what was never sent."""

    alert = True
    metric = "client_wrong_ack"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A stanza on its way: its id and the text to send again after a resumption."""

    stanza_id: str
    data: str


class AckState:
    """Both counters of one session. They go on over resumptions.

    `inbound` counts the server's stanzas since `<enabled/>`, `acked` our own that the server handled since `<enable/>`.
    """

    __slots__ = ("acked", "inbound", "unacked")

    def __init__(self) -> None:
        self.inbound = 0
        self.acked = 0
        self.unacked: deque[Outgoing] = deque()

    @property
    def h(self) -> int:
        """What `<a/>` and `<resume/>` tell the server."""
        return self.inbound % _MODULUS

    def sent(self, stanza_id: str, data: str) -> None:
        """Notes a stanza, in the order of the wire."""
        self.unacked.append(Outgoing(stanza_id, data))

    def acked_up_to(self, h: int) -> list[Outgoing]:
        """Forgets what the server has handled and answers it, oldest first.

        Raises WrongAck for an h beyond what was sent.
        """
        newly = (h - self.acked) % _MODULUS
        if newly > len(self.unacked):
            raise WrongAck(
                f"the server claims h={h}: {self.acked} acknowledged so far, {len(self.unacked)} outstanding"
            )
        self.acked += newly
        return [self.unacked.popleft() for _ in range(newly)]
