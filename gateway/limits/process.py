"""The limits of one gateway process: whom it lets in, and what it counts about addresses and accounts.

Nothing of this is shared between processes. A count in Redis would cost a round trip in the middle of reading a socket,
or, taken seldom, would not be exact either; and what it would add is bounded: with N processes somebody who spreads
connections over all of them gets N times as much.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import gevent

from gateway.errors import WakegateError
from gateway.limits.addresses import Addresses
from gateway.limits.bucket import Rate, is_full, made
from gateway.limits.hits import Hits, Limit, Outcome
from gateway.limits.load import Load
from gateway.limits.logins import Logins
from gateway.limits.queue import LoginQueue
from gateway.limits.table import Table
from gateway.limits.visit import Buckets, Visit
from gateway.sections import LimitSettings

MOST_RECORDS: Final = 50_000
"""of addresses and of accounts that nobody is connected from any more"""

MAY_BE_EVICTED_S: Final = 5.0
"""a negotiation that has gone on for so long is one of those that make room when there are too many: most take less"""

TIDY_S: Final = 60.0


class TurnedAway(WakegateError):
    """A connection is not served. `is_busy`: it would be later, or elsewhere; else it is the client's fault."""

    metric = "turned_away"

    def __init__(self, text: str, *, is_busy: bool) -> None:
        super().__init__(text)
        self.is_busy = is_busy


class AddressRecord:
    """One address, or network of IPv6."""

    __slots__ = ("handshakes", "speed", "unauthenticated", "users")

    def __init__(self, settings: LimitSettings, now: float) -> None:
        self.users = 0
        self.unauthenticated = 0
        self.handshakes = made(Rate.of(settings.address_handshakes), now)
        self.speed: Buckets | None = None
        """made when something is charged to it"""

    def says_nothing(self, now: float) -> bool:
        """See `table.Record`."""
        of_speed = self.speed[1:] if self.speed is not None else ()
        return all(is_full(bucket, now) for bucket in (self.handshakes, *of_speed))


class AccountRecord:
    """One account that is logged in, or was a while ago."""

    __slots__ = ("bytes", "stanzas", "users")

    def __init__(self, settings: LimitSettings, now: float) -> None:
        self.users = 0
        self.stanzas = made(Rate.of(settings.account_stanzas), now)
        self.bytes = made(Rate.of(settings.account_bytes), now)

    def says_nothing(self, now: float) -> bool:
        """See `table.Record`."""
        return is_full(self.stanzas, now) and is_full(self.bytes, now)


class Limits:
    """See above. `waiting`: operations that the store has not answered yet."""

    def __init__(
        self,
        settings: LimitSettings,
        *,
        hits: Hits,
        waiting: Callable[[], int] = lambda: 0,
        queue: LoginQueue | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self.settings = settings
        self.hits = hits
        self.clock = clock
        self.sleep = sleep
        self.addresses = Addresses(
            prefix_v4=settings.address_prefix_v4,
            prefix_v6=settings.address_prefix_v6,
            shared=settings.shared_addresses,
            unlimited=settings.unlimited_addresses,
        )
        self.load = Load(
            most_lag_s=settings.overload_lag, most_waiting=settings.overload_waiting, waiting=waiting, clock=clock
        )
        self.queue = LoginQueue(clock=clock) if queue is None else queue
        self.logins = Logins(
            per_address=Rate.of(settings.address_failed_logins, period_s=60.0),
            per_account=Rate.of(settings.account_failed_logins, period_s=60.0),
            hits=hits,
            clock=clock,
            sleep=sleep,
        )
        self.accounts = Table(lambda now: AccountRecord(settings, now), most=MOST_RECORDS, clock=clock)
        self._records = Table(lambda now: AddressRecord(settings, now), most=MOST_RECORDS, clock=clock)
        self._unknown: dict[Visit, None] = {}
        self._visits = 0

    @property
    def connections(self) -> int:
        """Connections that are served, or wait for it."""
        return self._visits

    @property
    def unauthenticated(self) -> int:
        """Those of them on which nobody has logged in."""
        return len(self._unknown)

    def enter(self, host: str) -> Visit:
        """Somebody has connected from `host`. Raises TurnedAway."""
        group = self.addresses.group(host)
        is_unlimited = self.addresses.is_unlimited(host)
        is_counted = not is_unlimited and not self.addresses.is_shared(host)
        record = self._records.get(group) if is_counted else None
        if record is not None:
            self._admit(record, group)
        if not is_unlimited and len(self._unknown) >= self.settings.max_unauthenticated:
            self._make_room(group)
        visit = Visit(self, host=host, group=group, record=record, is_unlimited=is_unlimited)
        self._visits += 1
        self._unknown[visit] = None
        if record is not None:
            record.users += 1
            record.unauthenticated += 1
        return visit

    def _admit(self, record: AddressRecord, group: str) -> None:
        settings = self.settings
        if record.users >= settings.max_connections_per_address > 0:
            self.hits.count(Limit.CONNECTIONS_PER_ADDRESS, Outcome.REFUSED, group)
            raise TurnedAway("too many connections from your address", is_busy=False)
        if record.unauthenticated >= settings.max_unauthenticated_per_address > 0:
            self.hits.count(Limit.UNAUTHENTICATED_PER_ADDRESS, Outcome.REFUSED, group)
            raise TurnedAway("too many connections from your address wait for a log-in", is_busy=False)

    def _make_room(self, group: str) -> None:
        """The negotiation that has gone on for longest gives its place to the newcomer, unless all are young: who holds
        connections open without logging in keeps nobody out.
        """
        oldest = next(iter(self._unknown))
        if self.clock() - oldest.begun_at < MAY_BE_EVICTED_S or oldest.on_evicted is None:
            self.hits.count(Limit.UNAUTHENTICATED, Outcome.REFUSED, group)
            raise TurnedAway("too many log-ins at once, try again later", is_busy=True)
        oldest.hit(Limit.UNAUTHENTICATED, Outcome.CLOSED)
        self._no_longer_unknown(oldest)
        oldest.on_evicted()

    def became_known(self, visit: Visit) -> None:
        """Somebody has logged in."""
        self._no_longer_unknown(visit)

    def _no_longer_unknown(self, visit: Visit) -> None:
        if visit in self._unknown:
            del self._unknown[visit]
            if visit.record is not None:
                visit.record.unauthenticated -= 1

    def left(self, visit: Visit) -> None:
        """A connection is over."""
        self._no_longer_unknown(visit)
        self._visits -= 1
        if visit.record is not None:
            visit.record.users -= 1

    def buckets_before(self, record: AddressRecord | None) -> list[Buckets]:
        """What a connection is charged to on which nobody has logged in."""
        now, settings = self.clock(), self.settings
        own = (
            Limit.UNAUTHENTICATED_SPEED,
            made(Rate.of(settings.unauthenticated_stanzas), now),
            made(Rate.of(settings.unauthenticated_bytes), now),
        )
        return [own, *self._of_address(record)]

    def buckets_after(self, record: AddressRecord | None, account: AccountRecord) -> list[Buckets]:
        """What a connection is charged to from its log-in on."""
        now, settings = self.clock(), self.settings
        own = (
            Limit.CONNECTION_SPEED,
            made(Rate.of(settings.connection_stanzas), now),
            made(Rate.of(settings.connection_bytes), now),
        )
        return [own, (Limit.ACCOUNT_SPEED, account.stanzas, account.bytes), *self._of_address(record)]

    def _of_address(self, record: AddressRecord | None) -> list[Buckets]:
        if record is None:
            return []
        if record.speed is None:
            now, settings = self.clock(), self.settings
            stanzas, size = made(Rate.of(settings.address_stanzas), now), made(Rate.of(settings.address_bytes), now)
            record.speed = (Limit.ADDRESS_SPEED, stanzas, size)
        return [record.speed]

    def run(self) -> None:
        """The greenlet that looks how busy the process is, and forgets what has become old."""
        tidied_at = self.clock()
        while True:
            self.sleep(self.load.look())
            if self.clock() - tidied_at > TIDY_S:
                tidied_at = self.clock()
                for table in (self.accounts, self._records, self.logins):
                    table.tidy()
