"""How the commands reach providers and mailboxes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace

import click

from gateway import telemetry
from gateway.mailbox import embedded
from gateway.mailbox.journal import Journal
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ServerSettings
from gateway.settings import Settings
from workers.push.provider import Provider
from workers.push.settings import APPSERVER, AppSettings, PushSettings


@contextlib.contextmanager
def provider_of(section: PushSettings, name: str, *, settings: Settings | None = None) -> Iterator[Provider]:
    """The provider of one app, with a token of its own: a check must not need Redis. (App servers are asked by way of
    a running server, which `settings` name.) Raises ConfigError.
    """
    from workers.push.apps import Apps
    from workers.push.token_store import LocalTokenStore

    with contextlib.ExitStack() as stack:
        servers = None
        if settings is not None and section.apps[name].provider == APPSERVER:
            from workers.push.providers.appserver.servers import AppServers

            journal = stack.enter_context(journal_of(settings))
            servers = AppServers.on(journal, settings, request_timeout_s=section.request_timeout)
        only = replace(section, apps={name: section.apps[name]})
        apps = Apps(only, store=LocalTokenStore(), app_servers=servers)
        stack.callback(apps.close)
        yield apps[name]


def app_of(section: PushSettings, name: str) -> AppSettings:
    """The settings of an app. Raises ClickException that names those there are."""
    if name not in section.apps:
        known = ", ".join(section.apps) or "none is configured; see: wakegate push add-app"
        raise click.ClickException(f"there is no [push.apps.{name}]; what there is: {known}")
    return section.apps[name]


@contextlib.contextmanager
def journal_of(settings: Settings) -> Iterator[Journal]:
    """A connection to the mailboxes; an embedded server that does not run is started for as long as this is open."""
    redis = settings.of(RedisSettings)
    data_dir = settings.of(ServerSettings).data_dir
    with contextlib.ExitStack() as stack:
        if redis.url == embedded.EMBEDDED:
            stack.enter_context(embedded.temporary(data_dir, appendfsync=redis.appendfsync))
        journal = open_journal(redis, data_dir)
        journal.start()
        stack.callback(journal.stop)
        journal.wait_up(redis.timeout_s)
        yield journal


def hashed(settings: Settings, jid: str) -> str:
    """A keyed hash that stands for an account: with [log] redact_key the one that is in the log, else good for this
    output only.
    """
    # What would be logged, the commands say themselves.
    telemetry.configure(settings.of(telemetry.LogSettings), io.StringIO())
    return telemetry.redact(jid)
