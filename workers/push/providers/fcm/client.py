"""What all pushes under one service account share: access token, connections, breaker."""

from __future__ import annotations

import time
from collections.abc import Callable

from workers.push.breaker import Breaker, BreakerRules
from workers.push.http2.pool import PoolRules
from workers.push.providers.fcm.settings import Identity
from workers.push.providers.fcm.token import AccessToken
from workers.push.providers.fcm.transport import Transport
from workers.push.reaction import Health
from workers.push.reply import Result
from workers.push.standing import Standing, states_of
from workers.push.token_store import TokenStore


class Client:
    """One per credential."""

    def __init__(
        self,
        identity: Identity,
        *,
        store: TokenStore,
        pool_rules: PoolRules,
        http1_connections: int,
        request_timeout_s: float,
        breaker_rules: BreakerRules,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads the service account. Raises CredentialError, ValueError for an endpoint that is no address. `clock`
        (UNIX seconds) is for tokens, `monotonic` for the breaker.
        """
        self.identity = identity
        self.breaker = Breaker(breaker_rules, clock=monotonic)
        self.token = AccessToken(
            identity.service_account_file,
            ca_file=identity.ca_file,
            timeout_s=request_timeout_s,
            store=store,
            clock=clock,
        )
        self._transport = Transport(
            identity.endpoint,
            ca_file=identity.ca_file,
            path=f"/v1/projects/{self.token.project_id}/messages:send",
            rules=pool_rules,
            http1_connections=http1_connections,
        )

    def send(self, body: bytes, *, bearer: str, timeout_s: float) -> Result:
        """POST one message."""
        return self._transport.post(body, bearer=bearer, timeout_s=timeout_s)

    def note(self, health: Health, reason: str) -> None:
        """What an answer says about the credential."""
        if health is Health.WELL:
            self.breaker.worked()
        elif health is Health.CREDENTIAL_FAULT:
            self.breaker.trip(reason)
        else:
            self.breaker.faulted(reason)

    def standing(self) -> Standing:
        """How it stands with the credential."""
        return Standing(
            states_of([self.breaker]),
            self.breaker.reason,
            self._transport.connections,
            self._transport.waiting,
            self.token.age_s,
        )

    def retire(self) -> None:
        """Another client takes over: finish what is under way, keep no connection beyond it."""
        self._transport.retire()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
        self.token.close()
