"""What all pushes under one credential share: the provider token, the breaker, a pool per environment and topic."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from workers.push.breaker import Breaker, BreakerRules
from workers.push.http2.origin import Origin
from workers.push.http2.pool import Pool, PoolRules
from workers.push.providers.apns.settings import Identity
from workers.push.providers.apns.token import ProviderToken, load_key
from workers.push.reaction import Health
from workers.push.standing import Standing, states_of
from workers.push.token_store import TokenStore

RECYCLE_S: Final = 10.0
"""Connections are not replaced more often than this, however many answers ask for it."""

FAULTS_TO_RECYCLE: Final = 3


class Client:
    """One per credential. Never holds two teams: Apple binds a connection to the team of its first push, and a topic
    that came later may be refused on it, so that each app has connections of its own.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        store: TokenStore,
        pool_rules: PoolRules,
        breaker_rules: BreakerRules,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads the key. Raises CredentialError. `clock` (UNIX seconds) is for tokens, `monotonic` for the breaker."""
        self.identity = identity
        self.breaker = Breaker(breaker_rules, clock=monotonic)
        self.token: ProviderToken | None = None
        if identity.key_file:
            self.token = ProviderToken(
                load_key(identity.key_file),
                team_id=identity.team_id,
                key_id=identity.key_id,
                store=store,
                clock=clock,
            )
        self._pool_rules = pool_rules
        self._pools: dict[tuple[Origin, str], Pool] = {}
        self._recycled_at: dict[tuple[Origin, str], float] = {}
        self._server_faults: dict[tuple[Origin, str], int] = {}

    def bearer(self) -> str:
        """The provider token for a request, "" where a certificate speaks for us. Raises StoreError."""
        return self.token.bearer() if self.token is not None else ""

    def pool(self, origin: Origin, topic: str) -> Pool:
        """The connections to an origin for an app."""
        pool = self._pools.get((origin, topic))
        if pool is None:
            pool = self._pools[origin, topic] = Pool(origin, rules=self._pool_rules)
        return pool

    def pools(self) -> list[Pool]:
        """All that were used so far."""
        return list(self._pools.values())

    def standing(self) -> Standing:
        """How it stands with the credential."""
        return Standing(
            states_of([self.breaker]),
            self.breaker.reason,
            sum(pool.connections for pool in self._pools.values()),
            sum(pool.waiting for pool in self._pools.values()),
            None if self.token is None else self.token.age_s,
        )

    def note(self, health: Health, reason: str, origin: Origin, topic: str) -> None:
        """What an answer says about the credential and the connections."""
        if health is Health.WELL:
            self._server_faults.pop((origin, topic), None)
            self.breaker.worked()
        elif health is Health.CREDENTIAL_FAULT:
            self.breaker.trip(reason)
        else:
            faults = self._server_faults[origin, topic] = self._server_faults.get((origin, topic), 0) + 1
            self.breaker.faulted(reason)
            if faults % FAULTS_TO_RECYCLE == 0:
                self.recycle(origin, topic)

    def recycle(self, origin: Origin, topic: str) -> None:
        """New connections from now on; asked for again within seconds, nothing happens: those are new already."""
        now = time.monotonic()
        if now - self._recycled_at.get((origin, topic), -RECYCLE_S) >= RECYCLE_S:
            self._recycled_at[origin, topic] = now
            self.pool(origin, topic).recycle()

    def retire(self) -> None:
        """Another client takes over: finish what is under way, keep no connection beyond it."""
        for pool in self._pools.values():
            pool.recycle()

    def close(self) -> None:
        """End all connections."""
        for pool in self._pools.values():
            pool.close()
