"""Failed log-ins: each costs time, more the more of them there were, and nobody can shut out somebody else.

A try takes a part of a token before the password is looked at; it gets that back if the password was right, and pays
the rest if it was wrong. Whoever finds no token waits for the next one, in the order of coming; whoever would have to
wait too long is refused unheard. That only a part is taken leaves room for an office that comes back through one
address at once; who guesses in parallel instead gains little by it, and pays later. Each address has a bucket; each
account has one for all strangers, and one for every neighbourhood from which its owner has logged in before: guessing
from elsewhere does not slow those down, nor does guessing other accounts from there.
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

PART_OF_ADDRESS: Final = 0.1
PART_OF_ACCOUNT: Final = 0.5
"""tokens of a try whose end is not known yet"""

LONGEST_DEBT_S: Final = 600.0
"""for how long tries that went on at the same time are held against those to come"""

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
        self.bucket = TokenBucket(rate, now, most_debt_s=LONGEST_DEBT_S)
        self.users = 0
        self.waiting: set[str] = set()

    def says_nothing(self, now: float) -> bool:
        return self.bucket.is_full(now)


Taken = list[tuple[_Failures, float]]
"""from whom, and how much of a token"""


class Attempt:
    """One try, and the parts of tokens that it has taken."""

    __slots__ = ("_known", "_logins", "_taken")

    def __init__(self, logins: Logins | None, taken: Taken, known: tuple[str, str]) -> None:
        self._logins = logins
        self._taken = taken
        self._known = known

    def succeeded(self) -> None:
        """The password was right: the try was none."""
        if self._logins is not None:
            self._logins.give_back(self._taken)
            self._logins.remember(*self._known)
            self._logins = None

    def dropped(self) -> None:
        """Nobody can say whether the password was right."""
        if self._logins is not None:
            self._logins.give_back(self._taken)
            self._logins = None

    def failed(self) -> None:
        """The password was wrong."""
        if self._logins is not None:
            self._logins.pay_rest(self._taken)
            self._logins = None


FREE: Final = Attempt(None, [], ("", ""))
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
        is_known = known in self._known
        taken: Taken = []
        wait_s = 0.0
        if address and self._addresses is not None and not is_known:
            failures = self._addresses.get(address)
            wait_s = self._take(failures, PART_OF_ADDRESS, taken, Limit.FAILED_LOGINS_PER_ADDRESS, address)
        who = address or neighbourhood
        if self._accounts is not None:
            failures = self._accounts.get(f"{account} {neighbourhood if is_known else ''}")
            account_s = self._take(failures, PART_OF_ACCOUNT, taken, Limit.FAILED_LOGINS_PER_ACCOUNT, who)
            wait_s = max(wait_s, account_s)
        if wait_s > 0:
            self._wait(wait_s, taken, who)
        return Attempt(self, taken, known)

    def _take(self, failures: _Failures, part: float, taken: Taken, limit: Limit, who: str) -> float:
        """Part of a token, into `taken`. Of those who wait for an account's tokens each address may be one."""
        is_account = limit is Limit.FAILED_LOGINS_PER_ACCOUNT
        wait_s = failures.bucket.take(part, self._clock())
        taken.append((failures, part))
        if wait_s <= 0:
            return 0.0
        if wait_s > LONGEST_WAIT_S or (is_account and who in failures.waiting):
            self.give_back(taken)
            self._hits.count(limit, Outcome.REFUSED, who)
            raise TooManyTries("too many failed tries, try again later")
        self._hits.count(limit, Outcome.SLOWED, who)
        return wait_s

    def _wait(self, wait_s: float, taken: Taken, who: str) -> None:
        for failures, _ in taken:
            failures.users += 1
            failures.waiting.add(who)
        try:
            self._sleep(wait_s)
        finally:
            for failures, _ in taken:
                failures.users -= 1
                failures.waiting.discard(who)

    @staticmethod
    def give_back(taken: Taken) -> None:
        """A try was right, or was not looked at."""
        for failures, part in taken:
            failures.bucket.give_back(part)

    def pay_rest(self, taken: Taken) -> None:
        """A try was wrong."""
        for failures, part in taken:
            failures.bucket.take(1 - part, self._clock())

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
