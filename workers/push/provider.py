"""What every provider can do, whichever it is. `tests/contract` holds each of them to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from workers.push.breaker import Breaker
from workers.push.notification import Push
from workers.push.outcome import Outcome


@dataclass(frozen=True)
class Checked:
    """What `wakegate push check` found out: `ok`, and one line for the operator."""

    ok: bool
    text: str


class Provider(Protocol):
    """One app at one provider. Made once; used by many greenlets at a time."""

    @property
    def breaker(self) -> Breaker:
        """The breaker of the credential, shared by all apps that use the same one."""

    def send(self, push: Push) -> Outcome:
        """Ask the provider to deliver. Blocks the calling greenlet, never longer than the request timeout. Raises
        nothing.
        """

    def check(self) -> Checked:
        """Prove without sending that the credential signs and the provider can be reached. Blocks, bounded. Raises
        nothing.
        """

    def close(self) -> None:
        """Let go of the connections. What is in flight has been answered or given up before."""
