"""What all pushes under one VAPID key share: the key, and what is known of each push service."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

from workers.push.breaker import Breaker, BreakerRules
from workers.push.credential import CredentialError
from workers.push.http1 import HttpPool
from workers.push.providers.webpush.dial import Dialer, in_brief
from workers.push.providers.webpush.names import Lookup, PublicNames, local_names
from workers.push.providers.webpush.services import ServiceRules, Services
from workers.push.providers.webpush.settings import Identity
from workers.push.providers.webpush.vapid import Signer


class Client:
    """One per credential."""

    def __init__(
        self,
        identity: Identity,
        *,
        rules: ServiceRules,
        connect_timeout_s: float,
        breaker_rules: BreakerRules,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        lookup: Lookup | None = None,
    ) -> None:
        """Reads the key and the certificate authorities. Raises CredentialError."""
        self.identity = identity
        self.signer = Signer(identity.key_file, identity.subject, clock=clock)
        # Never open: it stands for the key. What fails is a push service, and each of them has a breaker of its own.
        self.breaker = Breaker(breaker_rules, clock=monotonic)
        self._rules = rules
        self._connect_timeout_s = connect_timeout_s
        names = lookup or (local_names if identity.allow_private else PublicNames())
        self._dial = Dialer(names, allow_private=identity.allow_private)
        try:
            # One for all: reading the system's authorities takes 20 ms and a megabyte.
            self._tls = ssl.create_default_context(cafile=identity.ca_file or None)
        except OSError as error:
            raise CredentialError(f"{identity.ca_file}: holds no certificate in PEM form") from error
        self.services = Services(
            self._pool,
            self.signer.credential,
            rules=rules,
            new_breaker=lambda: Breaker(breaker_rules, clock=monotonic),
        )

    def retire(self) -> None:
        """Another client takes over: idle connections end now, the others when they have their answer."""
        self.services.close()

    def close(self) -> None:
        """Close the connections."""
        self.services.close()

    def _pool(self, origin: str, label: str) -> HttpPool:
        return HttpPool(
            origin,
            connections=self._rules.connections,
            connect_timeout_s=self._connect_timeout_s,
            name=label,
            dial=self._dial,
            describe=in_brief,
            tls=self._tls,
        )
