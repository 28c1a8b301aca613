"""What is read of the messages that wait for a device, when somebody wants to know it and not before."""

from __future__ import annotations

from functools import cached_property

from gateway.mailbox.entry import URGENT
from gateway.mailbox.pushes import Registration, Send
from gateway.xmpp.notification_settings import ChatSettings
from workers.push.chat_rules import read_rules, verdict, wants_everything
from workers.push.summary import Summary, summary


class Reading:
    """The messages of one claimed event. Each is parsed at most once, and none for a device that wants no more than to
    be woken.
    """

    def __init__(self, user: str, claim: Send, *, now_ms: int) -> None:
        """`user`: the account's bare JID; `now_ms`: by which a chat that is muted until then is judged."""
        self.claim = claim
        self._user = user
        self._now_ms = now_ms

    @cached_property
    def _all(self) -> list[Summary]:
        return [summary(waiting.entry.stanza) for waiting in self.claim.waiting]

    @cached_property
    def _newest(self) -> Summary:
        return summary(self.claim.waiting[-1].entry.stanza) if self.claim.waiting else Summary()

    @cached_property
    def _rules(self) -> dict[str, ChatSettings]:
        return read_rules(self.claim.rules)

    def verdicts(self, registration: Registration) -> list[str]:
        """Of each message, oldest first, why this device does not want to be woken for it; "" if it does. Empty if it
        wants everything.
        """
        if wants_everything(registration.filters, self.claim.rules):
            return []
        return [
            verdict(
                said,
                waiting.subscription,
                filters=registration.filters,
                rules=self._rules,
                user=self._user,
                now_ms=self._now_ms,
            )
            for said, waiting in zip(self._all, self.claim.waiting, strict=True)
        ]

    @cached_property
    def _call_at(self) -> int | None:
        """Where the call stands among the messages, for which the devices are to ring: it is the newest."""
        flags = [waiting.entry.flags for waiting in self.claim.waiting]
        return max((at for at, found in enumerate(flags) if URGENT in found), default=None)

    def is_call_wanted(self, registration: Registration) -> bool:
        """May this device ring for the call, whatever else waits for it?"""
        verdicts = self.verdicts(registration)
        return not verdicts or self._call_at is None or not verdicts[self._call_at]

    @cached_property
    def call(self) -> Summary:
        """Who calls."""
        if self._call_at is None:
            return Summary()
        return summary(self.claim.waiting[self._call_at].entry.stanza)

    def newest(self, registration: Registration) -> Summary:
        """The newest message that the device wants to be woken for."""
        verdicts = self.verdicts(registration)
        if not any(verdicts):
            return self._newest
        wanted = [said for said, unwanted in zip(self._all, verdicts, strict=True) if not unwanted]
        return wanted[-1] if wanted else Summary()
