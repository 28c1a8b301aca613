"""One connection as the limits see it, from its accept to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.limits.bucket import TokenBucket, take
from gateway.limits.hits import Limit, Outcome
from gateway.limits.load import BEAT_S
from gateway.limits.logins import FREE, Attempt

if TYPE_CHECKING:
    from gateway.limits.process import AccountRecord, AddressRecord, Limits

BIND_WAIT_S: Final = 10.0
"""for an overload to end; less than a negotiation may take"""

Buckets = tuple[Limit, TokenBucket | None, TokenBucket | None]
"""name, for stanzas, for bytes"""


class Visit:
    """Made by `process.Limits.enter`; `leave` ends it.

    `is_unlimited`: it comes from one of the operator's own addresses. `on_evicted`: what ends the connection to make
    room for others, while nobody has logged in on it.
    """

    __slots__ = (
        "_account",
        "_buckets",
        "_limits",
        "_name",
        "begun_at",
        "group",
        "host",
        "is_known",
        "is_unlimited",
        "on_evicted",
        "record",
    )

    def __init__(
        self, limits: Limits, *, host: str, group: str, record: AddressRecord | None, is_unlimited: bool
    ) -> None:
        self._limits = limits
        self.host = host
        self.group = group
        self.record = record
        self.is_unlimited = is_unlimited
        self.begun_at = limits.clock()
        self.is_known = False
        self.on_evicted: Callable[[], None] | None = None
        self._name = ""
        self._account: AccountRecord | None = None
        self._buckets: list[Buckets] | None = None

    def wait_turn(self) -> bool:
        """Wait until the negotiation may begin. False: that takes too long."""
        limits = self._limits
        if limits.queue.wait(None if self.is_unlimited else limits.settings.login_queue_time):
            self.begun_at = limits.clock()
            return True
        self.hit(Limit.LOGIN_QUEUE, Outcome.REFUSED)
        return False

    def wait_for_handshake(self) -> None:
        """Wait until this address may shake hands (TLS) once more. Bounded by the connections that may wait so."""
        wait_s = take(self.record.handshakes, 1, self._limits.clock()) if self.record is not None else 0.0
        if wait_s > 0:
            self.hit(Limit.HANDSHAKES_PER_ADDRESS, Outcome.SLOWED)
            self._limits.sleep(wait_s)

    def attempt(self, account: str) -> Attempt:
        """Begin to look at a password; waits. Raises TooManyTries."""
        if self.is_unlimited:
            return FREE
        limits = self._limits
        return limits.logins.attempt(
            address=self.group if self.record is not None else "",
            neighbourhood=limits.addresses.neighbourhood(self.host),
            account=account,
        )

    def authenticated(self, account: str) -> None:
        """It is somebody known now: `account` is a bare JID."""
        if self.is_known:
            return
        self.is_known = True
        self._limits.became_known(self)
        self._name = account
        self._buckets = None

    def charge(self, stanzas: int, size: int) -> float:
        """So much has been read. Answers for how long, in seconds, nothing more may be."""
        wait_s, slowest = 0.0, None
        now = self._limits.clock()
        if self._buckets is None:
            self._buckets = self._made()
        for limit, of_stanzas, of_bytes in self._buckets:
            wanted_s = max(take(of_stanzas, stanzas, now), take(of_bytes, size, now))
            if wanted_s > wait_s:
                wait_s, slowest = wanted_s, limit
        if slowest is not None:
            self.hit(slowest, Outcome.SLOWED)
        return wait_s

    def _made(self) -> list[Buckets]:
        """Made when something is charged to them: most connections are idle, and need none."""
        limits = self._limits
        if self.is_unlimited or self._name in limits.settings.unlimited_jids:
            return []
        if not self.is_known:
            return limits.buckets_before(self.record)
        self._account = limits.accounts.get(self._name)
        self._account.users += 1
        return limits.buckets_after(self.record, self._account)

    def may_bind(self) -> bool:
        """Whether there is room for a new session; waits for it, at most `BIND_WAIT_S`, since many clients take a
        refusal for final. A session that is resumed costs less, and always has room.
        """
        if self._has_room():
            return True
        self.hit(Limit.OVERLOAD, Outcome.SLOWED)
        for _ in range(int(BIND_WAIT_S / BEAT_S)):
            self._limits.sleep(BEAT_S)
            if self._has_room():
                return True
        self.hit(Limit.OVERLOAD, Outcome.REFUSED)
        return False

    def _has_room(self) -> bool:
        return self.is_unlimited or not self._limits.load.is_high

    def hit(self, limit: Limit, outcome: Outcome) -> None:
        """This connection ran into a limit."""
        self._limits.hits.count(limit, outcome, self.group)

    def leave(self) -> None:
        """The connection is over."""
        self._limits.left(self)
        if self._account is not None:
            self._account.users -= 1
            self._account = None
