"""What all pushes under one credential share: the provider token, the breaker, and a pool for each environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from workers.push.breaker import Breaker, BreakerRules
from workers.push.http2.origin import Origin
from workers.push.http2.pool import Pool, PoolRules
from workers.push.providers.apns.settings import Identity
from workers.push.providers.apns.token import ProviderToken, load_key
from workers.push.providers.apns.token_store import TokenStore
from workers.push.reaction import Health

RECYCLE_S: Final = 10.0
"""Connections are not replaced more often than this, however many answers ask for it."""

FAULTS_TO_RECYCLE: Final = 3


class Client:
    """One per credential. Never holds two teams: Apple binds a connection to the team of its first push."""

    def __init__(
        self,
        identity: Identity,
        *,
        store: TokenStore,
        pool_rules: PoolRules,
        breaker_rules: BreakerRules,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Reads the key. Raises CredentialError."""
        self.identity = identity
        self.breaker = Breaker(breaker_rules, clock=time.monotonic)
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
        self._pools: dict[Origin, Pool] = {}
        self._recycled_at: dict[Origin, float] = {}
        self._server_faults = 0

    def bearer(self) -> str:
        """The provider token for a request, "" where a certificate speaks for us. Raises StoreError."""
        return self.token.bearer() if self.token is not None else ""

    def pool(self, origin: Origin) -> Pool:
        """The connections to an origin."""
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(origin, rules=self._pool_rules)
        return pool

    def pools(self) -> list[Pool]:
        """All that were used so far."""
        return list(self._pools.values())

    def note(self, health: Health, reason: str, origin: Origin) -> None:
        """What an answer says about the credential and the connections."""
        if health is Health.WELL:
            self._server_faults = 0
            self.breaker.worked()
        elif health is Health.CREDENTIAL_FAULT:
            self.breaker.trip(reason)
        else:
            self._server_faults += 1
            self.breaker.faulted(reason)
            if self._server_faults % FAULTS_TO_RECYCLE == 0:
                self.recycle(origin)

    def recycle(self, origin: Origin) -> None:
        """New connections from now on; asked for again within seconds, nothing happens: those are new already."""
        now = time.monotonic()
        if now - self._recycled_at.get(origin, -RECYCLE_S) >= RECYCLE_S:
            self._recycled_at[origin] = now
            self.pool(origin).recycle()

    def close(self) -> None:
        """End all connections."""
        for pool in self._pools.values():
            pool.close()
