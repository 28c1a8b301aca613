"""The clients behind the apps' providers: apps with the same credential share one, with its connections and breaker."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Protocol

from workers.push.breaker import BreakerRules
from workers.push.credential_files import Stamp
from workers.push.http2.pool import PoolRules
from workers.push.provider import Provider
from workers.push.providers.apns.client import Client as ApnsClient
from workers.push.providers.apns.provider import ApnsProvider
from workers.push.providers.apns.settings import Identity as ApnsIdentity
from workers.push.settings import APNS, FCM, WEBPUSH, AppSettings, PushSettings
from workers.push.token_store import TokenStore

FCM_HTTP1_CONNECTIONS: Final = 50

SPARE_S: Final = 5.0
"""How long a client whose place was taken is kept, beyond what its last request may take."""


class Client(Protocol):
    """What is common to the clients of all providers."""

    def retire(self) -> None:
        """Another client takes over: finish what is under way, keep no connection beyond it."""

    def close(self) -> None:
        """End all connections."""


class Clients:
    """Makes providers; a credential whose file has changed (another `Stamp`) has a client of its own."""

    def __init__(
        self,
        *,
        store: TokenStore,
        breaker_rules: BreakerRules,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._breaker_rules = breaker_rules
        self._clock = clock
        self._monotonic = monotonic
        self._clients: dict[Hashable, Client] = {}
        self._retired: list[tuple[float, Client]] = []

    def provider(self, app: AppSettings, stamp: Stamp, settings: PushSettings) -> tuple[Provider, Hashable]:
        """The provider of an app, and the name of its client. Raises CredentialError, ValueError."""
        limits = (settings.in_flight, settings.connections, settings.connect_timeout, settings.request_timeout)
        if app.provider == APNS:
            return self._apns(app, (stamp, *limits), settings)
        if app.provider == FCM:
            return self._fcm(app, (stamp, *limits), settings)
        if app.provider == WEBPUSH:
            return self._webpush(app, (stamp, *limits), settings)
        raise ValueError(f"provider {app.provider!r} is not available yet")

    def keep(self, names: Iterable[Hashable], *, grace_s: float) -> None:
        """Retire all but these: no new connections; what they have in hand has `grace_s`, then they are closed."""
        wanted = set(names)
        for name in [name for name in self._clients if name not in wanted]:
            client = self._clients.pop(name)
            client.retire()
            self._retired.append((time.monotonic() + grace_s + SPARE_S, client))

    def close_retired(self) -> None:
        """Close those whose time is over."""
        now = time.monotonic()
        for _, client in [pair for pair in self._retired if pair[0] <= now]:
            client.close()
        self._retired = [pair for pair in self._retired if pair[0] > now]

    def close(self) -> None:
        """Close every connection."""
        for client in [*self._clients.values(), *(client for _, client in self._retired)]:
            client.close()
        self._retired.clear()

    def _apns(self, app: AppSettings, more: Hashable, settings: PushSettings) -> tuple[Provider, Hashable]:
        identity = ApnsIdentity.of(app)
        client = self._clients.get((identity, more))
        if not isinstance(client, ApnsClient):
            client = self._clients[identity, more] = ApnsClient(
                identity,
                store=self._store,
                pool_rules=_rules(settings),
                breaker_rules=self._breaker_rules,
                clock=self._clock,
                monotonic=self._monotonic,
            )
        provider = ApnsProvider(app, client, request_timeout_s=settings.request_timeout, clock=self._clock)
        return provider, (identity, more)

    def _fcm(self, app: AppSettings, more: Hashable, settings: PushSettings) -> tuple[Provider, Hashable]:
        # Here and not above: firebase_admin costs 22 MB and a second, which an installation without Android need not
        # pay.
        from workers.push.providers.fcm.client import Client as FcmClient
        from workers.push.providers.fcm.provider import FcmProvider
        from workers.push.providers.fcm.settings import Identity

        identity = Identity.of(app)
        client = self._clients.get((identity, more))
        if not isinstance(client, FcmClient):
            client = self._clients[identity, more] = FcmClient(
                identity,
                store=self._store,
                pool_rules=_rules(settings),
                http1_connections=FCM_HTTP1_CONNECTIONS,
                request_timeout_s=settings.request_timeout,
                breaker_rules=self._breaker_rules,
                clock=self._clock,
                monotonic=self._monotonic,
            )
        provider = FcmProvider(client, request_timeout_s=settings.request_timeout, clock=self._clock)
        return provider, (identity, more)

    def _webpush(self, app: AppSettings, more: Hashable, settings: PushSettings) -> tuple[Provider, Hashable]:
        # Here and not above: dnspython costs 8 MB, which an installation without Web Push need not pay.
        from workers.push.providers.webpush.client import Client as WebPushClient
        from workers.push.providers.webpush.provider import WebPushProvider
        from workers.push.providers.webpush.services import ServiceRules
        from workers.push.providers.webpush.settings import Identity

        identity = Identity.of(app)
        client = self._clients.get((identity, more))
        if not isinstance(client, WebPushClient):
            client = self._clients[identity, more] = WebPushClient(
                identity,
                rules=ServiceRules(in_flight=settings.in_flight),
                connect_timeout_s=settings.connect_timeout,
                breaker_rules=self._breaker_rules,
                clock=self._clock,
                monotonic=self._monotonic,
            )
        provider = WebPushProvider(app, client, request_timeout_s=settings.request_timeout, clock=self._clock)
        return provider, (identity, more)


def _rules(settings: PushSettings) -> PoolRules:
    return PoolRules(
        queue=2 * settings.in_flight,
        connections=settings.connections,
        connect_timeout_s=settings.connect_timeout,
    )
