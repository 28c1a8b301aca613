"""Failed log-ins: each costs time, more the more of them there were, and nobody can shut out somebody else.

A try takes a token before the password is looked at, and gets it back if the password was right. Whoever finds none
waits for the next one, in the order of coming; whoever would have to wait too long is refused unheard. So parallel
tries gain nothing. Each address has a bucket; each account has one for all strangers, and one for every neighbourhood
from which its owner has logged in before: guessing from elsewhere does not slow those down.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import gevent

from gateway.errors import WakegateError
from gateway.limits.bucket import Rate, TokenBucket
from gateway.limits.hits import Hits, Limit, Outcome
from gateway.limits.table import Table

LONGEST_WAIT_S: Final = 15.0
"""for one try; less than an authentication may take"""

MOST_BUCKETS: Final = 100_000
"""about whom failures are remembered, addresses and accounts"""

MOST_KNOWN: Final = 200_000
"""pairs of an account and a neighbourhood that belong together"""


class TooManyTries(WakegateError):
    """Neither right nor wrong: try again later."""

    metric = "too_many_tries"


class _Failures:
    """One bucket, and who waits for a token of it."""

    __slots__ = ("bucket", "users", "waiting")

    def __init__(self, rate: Rate, now: float) -> None:
        self.bucket = TokenBucket(rate, now)
        self.users = 0
        self.waiting: set[str] = set()

    def says_nothing(self, now: float) -> bool:
        return self.bucket.is_full(now)


class Attempt:
    """One try, whose tokens are taken."""

    __slots__ = ("_known", "_logins", "_taken")

    def __init__(self, logins: Logins | None, taken: tuple[_Failures, ...], known: tuple[str, str]) -> None:
        self._logins = logins
        self._taken = taken
        self._known = known

    def succeeded(self) -> None:
        """The password was right: the try was none."""
        for failures in self._taken:
            failures.bucket.give_back(1)
        self._taken = ()
        if self._logins is not None:
            self._logins.remember(*self._known)


FREE: Final = Attempt(None, (), ("", ""))
"""a try that nobody counts"""


class Logins:
    """Of one process: they do not know what others see, so an account can be tried at each of them."""

    def __init__(
        self,
        *,
        per_address: Rate | None,
        per_account: Rate | None,
        hits: Hits,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._addresses = _table(per_address, clock)
        self._accounts = _table(per_account, clock)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._hits = hits
        self._clock = clock
        self._sleep = sleep

    def attempt(self, *, address: str, neighbourhood: str, account: str) -> Attempt:
        """Begin a try; waits. `address` "": nobody counts by address. Raises TooManyTries."""
        known = (account, neighbourhood)
        taken: list[_Failures] = []
        wait_s = 0.0
        if address and self._addresses is not None:
            wait_s = self._take(self._addresses.get(address), taken, Limit.FAILED_LOGINS_PER_ADDRESS, address, address)
        if self._accounts is not None:
            place = neighbourhood if known in self._known else ""
            failures = self._accounts.get(f"{account} {place}")
            who = address or neighbourhood
            wait_s = max(wait_s, self._take(failures, taken, Limit.FAILED_LOGINS_PER_ACCOUNT, who, address))
        if wait_s > 0:
            self._wait(wait_s, taken, address or neighbourhood)
        return Attempt(self, tuple(taken), known)

    def _take(self, failures: _Failures, taken: list[_Failures], limit: Limit, who: str, address: str) -> float:
        """One token, into `taken`. Of those who wait for an account's tokens each address may be one."""
        is_account = limit is Limit.FAILED_LOGINS_PER_ACCOUNT
        wait_s = failures.bucket.take(1, self._clock())
        taken.append(failures)
        if wait_s <= 0:
            return 0.0
        if wait_s > LONGEST_WAIT_S or (is_account and who in failures.waiting):
            for each in taken:
                each.bucket.give_back(1)
            self._hits.count(limit, Outcome.REFUSED, address)
            raise TooManyTries("too many failed tries, try again later")
        self._hits.count(limit, Outcome.SLOWED, address)
        return wait_s

    def _wait(self, wait_s: float, taken: list[_Failures], who: str) -> None:
        for failures in taken:
            failures.users += 1
            failures.waiting.add(who)
        try:
            self._sleep(wait_s)
        finally:
            for failures in taken:
                failures.users -= 1
                failures.waiting.discard(who)

    def remember(self, account: str, neighbourhood: str) -> None:
        """The account's owner was there."""
        self._known[account, neighbourhood] = None
        self._known.move_to_end((account, neighbourhood))
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def tidy(self) -> None:
        """Forget failures that are long past."""
        for table in (self._addresses, self._accounts):
            if table is not None:
                table.tidy()


def _table(rate: Rate | None, clock: Callable[[], float]) -> Table[_Failures] | None:
    return Table(lambda now: _Failures(rate, now), most=MOST_BUCKETS, clock=clock) if rate is not None else None
