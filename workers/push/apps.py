"""The providers of all configured apps, kept up to date with the configuration and with the credentials' files."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.mailbox.pushes import Registration
from gateway.settings import ConfigError
from gateway.telemetry import get_logger
from workers.push.breaker import BreakerRules
from workers.push.clients import Clients
from workers.push.credential import CredentialError
from workers.push.credential_files import Stamp, stamp_of
from workers.push.provider import Provider
from workers.push.settings import APPSERVER, AppSettings, PushSettings
from workers.push.token_store import TokenStore

if TYPE_CHECKING:
    from workers.push.providers.appserver.servers import AppServers

log = get_logger(__name__)


@dataclass(frozen=True)
class _Running:
    """An app at work; `client` names the client behind its provider."""

    settings: AppSettings
    stamp: Stamp
    provider: Provider
    client: Hashable


class Apps:
    """`apps[name]` is the provider of [push.apps.NAME]; a name that is not configured is a KeyError.

    A provider may be replaced by another at any time: ask for it anew for each push. What is under way on the old one
    is finished there.
    """

    def __init__(
        self,
        settings: PushSettings,
        *,
        store: TokenStore,
        app_servers: AppServers | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        breaker_rules: BreakerRules | None = None,
    ) -> None:
        """Reads every credential. Raises ConfigError with all that is wrong. `app_servers`: how those are reached.
        `clock` (UNIX seconds) is for tokens and expiry, `monotonic` for breakers.
        """
        self._settings = settings
        self._app_servers = app_servers
        self._clients = Clients(
            store=store, breaker_rules=breaker_rules or BreakerRules(), clock=clock, monotonic=monotonic
        )
        self._running: dict[str, _Running] = {}
        self._unusable: dict[str, Stamp] = {}
        faults: list[str] = []
        for name, app in settings.apps.items():
            made = self._try(app, settings)
            if isinstance(made, _Running):
                self._running[name] = made
            else:
                faults += [f"push.apps.{name}.{fault}" for fault in made]
        if faults:
            self.close()
            raise ConfigError(*faults)

    def __getitem__(self, name: str) -> Provider:
        return self._running[name].provider

    def for_registration(self, registration: Registration) -> Provider | None:
        """Who pushes this device; None if its app is not configured (any more).

        A registration without an app names somebody else's app server (XEP-0357).
        """
        if not registration.app and self._app_servers is not None:
            return self._app_servers.of(registration.service)
        running = self._running.get(registration.app)
        return None if running is None else running.provider

    def __contains__(self, name: object) -> bool:
        return name in self._running

    @property
    def names(self) -> list[str]:
        """All configured apps."""
        return list(self._running)

    @property
    def app_servers(self) -> AppServers | None:
        """Those of others, which registrations name (XEP-0357)."""
        return self._app_servers

    @property
    def settings(self) -> Mapping[str, AppSettings]:
        """Their settings."""
        return self._settings.apps

    def refresh(self) -> list[str]:
        """Look at the credentials' files, and use what has changed; call it every few seconds.

        Costs a stat() for each file. A new file that cannot be used changes nothing: the old credential stays in use,
        and a warning says why, once for each change of the file. Answers what happened, one line for each app.
        """
        self._clients.close_retired()
        said = []
        for name, running in list(self._running.items()):
            stamp = stamp_of(running.settings)
            if stamp in (running.stamp, self._unusable.get(name)):
                continue
            made = self._try(running.settings, self._settings)
            if isinstance(made, _Running):
                self._running[name] = made
                self._unusable.pop(name, None)
                log.info("push_credential_replaced", app=name)
                said.append(f"{name}: has a new credential")
            else:
                self._unusable[name] = stamp
                said.append(self._keep_old(name, made))
        if said:
            self._retire_unused()
        return said

    def reload(self, settings: PushSettings) -> list[str]:
        """Follow a new configuration: apps that were added, removed or changed, and limits.

        An app that cannot be used as configured now stays as it was, or out, with a warning; nothing is raised. The
        registrations of a removed app stay: it may come back. Answers what happened, one line for each app.
        """
        said = []
        running: dict[str, _Running] = {}
        for name, app in settings.apps.items():
            before = self._running.get(name)
            made = self._try(app, settings)
            if isinstance(made, _Running):
                running[name] = made
                if before is None or before.client != made.client or before.settings != app:
                    said.append(f"{name}: {'added' if before is None else 'changed'}")
            else:
                said.append(self._keep_old(name, made))
                if before is not None:
                    running[name] = before
        said += [f"{name}: removed" for name in self._running if name not in running]
        self._running = running
        self._unusable.clear()
        self._settings = replace(settings, apps={name: each.settings for name, each in running.items()})
        self._retire_unused()
        log.info("push_apps_reloaded", apps=len(running), changed=len(said))
        return said

    def close(self) -> None:
        """Close every connection."""
        self._clients.close()
        if self._app_servers is not None:
            self._app_servers.close()

    def _try(self, app: AppSettings, settings: PushSettings) -> _Running | list[str]:
        """The app at work, or what is wrong with it. The stamp is taken first: a file that is written to meanwhile is
        looked at again.
        """
        stamp = stamp_of(app)
        faults = [*app.faults(), *app.file_faults()]
        if faults:
            return faults
        try:
            if app.provider == APPSERVER:
                return _Running(app, stamp, self._app_server(app), None)
            provider, client = self._clients.provider(app, stamp, settings)
        except (CredentialError, ValueError) as error:
            return [f"provider: {error}"]
        return _Running(app, stamp, provider, client)

    def _app_server(self, app: AppSettings) -> Provider:
        if self._app_servers is None:
            raise ValueError("app servers are reached by way of a running server; this command has none")
        return self._app_servers.of(app.service)

    def _keep_old(self, name: str, faults: list[str]) -> str:
        is_kept = name in self._running
        log.warning("push_credential_unusable", app=name, is_old_kept=is_kept, faults="; ".join(faults))
        return f"{name}: {'stays as it was' if is_kept else 'is left out'}: {'; '.join(faults)}"

    def _retire_unused(self) -> None:
        used = [running.client for running in self._running.values()]
        self._clients.keep(used, grace_s=self._settings.request_timeout)
