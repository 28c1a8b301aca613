"""What all pushes under one service account share: access token, connections, breaker."""

from __future__ import annotations

import time
from collections.abc import Callable

from workers.push.breaker import Breaker, BreakerRules
from workers.push.http1 import HttpPool
from workers.push.providers.fcm.settings import Identity
from workers.push.providers.fcm.token import AccessToken
from workers.push.reaction import Health
from workers.push.reply import Result
from workers.push.standing import Standing, states_of


class Client:
    """One per credential."""

    def __init__(
        self,
        identity: Identity,
        *,
        connections: int,
        connect_timeout_s: float,
        request_timeout_s: float,
        breaker_rules: BreakerRules,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Reads the service account. Raises CredentialError, ValueError for an endpoint that is no address."""
        self.identity = identity
        self.breaker = Breaker(breaker_rules, clock=time.monotonic)
        self.token = AccessToken(
            identity.service_account_file, ca_file=identity.ca_file, timeout_s=request_timeout_s, clock=clock
        )
        self._pool = HttpPool(
            identity.endpoint, ca_file=identity.ca_file, connections=connections, connect_timeout_s=connect_timeout_s
        )
        self._path = f"/v1/projects/{self.token.project_id}/messages:send"

    def send(self, body: bytes, *, bearer: str, timeout_s: float) -> Result:
        """POST one message."""
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json; charset=UTF-8"}
        return self._pool.request("POST", self._path, headers=headers, body=body, timeout_s=timeout_s)

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
        return Standing(states_of([self.breaker]), self.breaker.reason, self._pool.connections, self._pool.waiting)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        self.token.close()
