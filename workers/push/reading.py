"""What is read of the messages that wait for a device, when somebody wants to know it and not before."""

from __future__ import annotations

from functools import cached_property

from gateway.mailbox.pushes import Registration, Send
from workers.push.summary import Summary, summary


class Reading:
    """The messages of one claimed event. Each is parsed at most once, and none for a device that wants no more than to
    be woken.
    """

    def __init__(self, user: str, claim: Send, *, now_ms: int) -> None:
        self.claim = claim
        self._user = user
        self._now_ms = now_ms

    @cached_property
    def _all(self) -> list[Summary]:
        return [summary(waiting.entry.stanza) for waiting in self.claim.waiting]

    @cached_property
    def _newest(self) -> Summary:
        return summary(self.claim.waiting[-1].entry.stanza) if self.claim.waiting else Summary()

    def verdicts(self, registration: Registration) -> list[str]:
        """Of each message, oldest first, why this device does not want to be woken for it; "" if it does."""
        return []

    def newest(self, registration: Registration) -> Summary:
        """The newest message that the device wants to be woken for."""
        verdicts = self.verdicts(registration)
        if not any(verdicts):
            return self._newest
        return next((said for said, no in zip(self._all[::-1], verdicts[::-1], strict=True) if not no), Summary())
