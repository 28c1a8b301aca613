"""The providers of all configured apps. Apps with the same credential share its connections, token and breaker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gateway.mailbox.pushes import Registration
from gateway.settings import ConfigError
from workers.push.breaker import BreakerRules
from workers.push.credential import CredentialError
from workers.push.http2.pool import PoolRules
from workers.push.provider import Provider
from workers.push.providers.apns.client import Client as ApnsClient
from workers.push.providers.apns.provider import ApnsProvider
from workers.push.providers.apns.settings import Identity as ApnsIdentity
from workers.push.providers.apns.token_store import TokenStore
from workers.push.settings import APNS, APPSERVER, FCM, WEBPUSH, AppSettings, PushSettings

if TYPE_CHECKING:
    from workers.push.providers.appserver.servers import AppServers
    from workers.push.providers.fcm.client import Client as FcmClient
    from workers.push.providers.fcm.settings import Identity as FcmIdentity
    from workers.push.providers.webpush.client import Client as WebPushClient
    from workers.push.providers.webpush.settings import Identity as WebPushIdentity

FCM_CONNECTIONS = 50


class Apps:
    """`apps[name]` is the provider of [push.apps.NAME]; a name that is not configured is a KeyError."""

    def __init__(
        self,
        settings: PushSettings,
        *,
        store: TokenStore,
        app_servers: AppServers | None = None,
        clock: Callable[[], float] = time.time,
        breaker_rules: BreakerRules | None = None,
    ) -> None:
        """Reads every credential. Raises ConfigError with all that is wrong. `app_servers`: how those are reached."""
        self._settings = settings
        self._app_servers = app_servers
        self._store = store
        self._clock = clock
        self._breaker_rules = breaker_rules or BreakerRules()
        self._apns: dict[ApnsIdentity, ApnsClient] = {}
        self._fcm: dict[FcmIdentity, FcmClient] = {}
        self._webpush: dict[WebPushIdentity, WebPushClient] = {}
        self._providers: dict[str, Provider] = {}
        faults: list[str] = []
        for name, app in settings.apps.items():
            of_files = [f"push.apps.{name}.{fault}" for fault in app.file_faults()]
            if of_files:
                faults.extend(of_files)
                continue
            try:
                self._providers[name] = self._make(app)
            except (CredentialError, ValueError) as error:
                faults.append(f"push.apps.{name}: {error}")
        if faults:
            self.close()
            raise ConfigError(*faults)

    def __getitem__(self, name: str) -> Provider:
        return self._providers[name]

    def for_registration(self, registration: Registration) -> Provider | None:
        """Who pushes this device; None if its app is not configured (any more).

        A registration without an app names somebody else's app server (XEP-0357).
        """
        if not registration.app and self._app_servers is not None:
            return self._app_servers.of(registration.service)
        return self._providers.get(registration.app)

    def __contains__(self, name: object) -> bool:
        return name in self._providers

    @property
    def names(self) -> list[str]:
        """All configured apps."""
        return list(self._providers)

    @property
    def settings(self) -> Mapping[str, AppSettings]:
        """Their settings."""
        return self._settings.apps

    def close(self) -> None:
        """Close every connection."""
        clients: list[ApnsClient | FcmClient | WebPushClient]
        clients = [*self._apns.values(), *self._fcm.values(), *self._webpush.values()]
        for client in clients:
            client.close()
        if self._app_servers is not None:
            self._app_servers.close()

    def _make(self, app: AppSettings) -> Provider:
        if app.provider == APNS:
            return self._make_apns(app)
        if app.provider == FCM:
            return self._make_fcm(app)
        if app.provider == WEBPUSH:
            return self._make_webpush(app)
        if app.provider == APPSERVER:
            return self._make_appserver(app)
        raise ValueError(f"provider {app.provider!r} is not available yet")

    def _make_appserver(self, app: AppSettings) -> Provider:
        if self._app_servers is None:
            raise ValueError("app servers are reached by way of a running server; this command has none")
        return self._app_servers.of(app.service)

    def _make_apns(self, app: AppSettings) -> Provider:
        identity = ApnsIdentity.of(app)
        client = self._apns.get(identity)
        if client is None:
            rules = PoolRules(
                queue=2 * self._settings.in_flight,
                connections=self._settings.connections,
                connect_timeout_s=self._settings.connect_timeout,
            )
            client = self._apns[identity] = ApnsClient(
                identity, store=self._store, pool_rules=rules, breaker_rules=self._breaker_rules, clock=self._clock
            )
        return ApnsProvider(app, client, request_timeout_s=self._settings.request_timeout, clock=self._clock)

    def _make_fcm(self, app: AppSettings) -> Provider:
        # Here and not above: firebase_admin costs 22 MB and a second, which an installation without Android need not
        # pay.
        from workers.push.providers.fcm.client import Client
        from workers.push.providers.fcm.provider import FcmProvider
        from workers.push.providers.fcm.settings import Identity

        identity = Identity.of(app)
        client = self._fcm.get(identity)
        if client is None:
            client = self._fcm[identity] = Client(
                identity,
                connections=FCM_CONNECTIONS,
                connect_timeout_s=self._settings.connect_timeout,
                request_timeout_s=self._settings.request_timeout,
                breaker_rules=self._breaker_rules,
                clock=self._clock,
            )
        return FcmProvider(client, request_timeout_s=self._settings.request_timeout, clock=self._clock)

    def _make_webpush(self, app: AppSettings) -> Provider:
        # Here and not above: dnspython costs 8 MB, which an installation without Web Push need not pay.
        from workers.push.providers.webpush.client import Client
        from workers.push.providers.webpush.provider import WebPushProvider
        from workers.push.providers.webpush.services import ServiceRules
        from workers.push.providers.webpush.settings import Identity

        identity = Identity.of(app)
        client = self._webpush.get(identity)
        if client is None:
            client = self._webpush[identity] = Client(
                identity,
                rules=ServiceRules(in_flight=self._settings.in_flight),
                connect_timeout_s=self._settings.connect_timeout,
                breaker_rules=self._breaker_rules,
                clock=self._clock,
            )
        return WebPushProvider(app, client, request_timeout_s=self._settings.request_timeout, clock=self._clock)
