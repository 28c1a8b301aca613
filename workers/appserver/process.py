"""The app server's process: put together, started, stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import gevent
from gevent.event import Event

from gateway.mailbox.devices import Devices, Limits
from gateway.mailbox.journal import Journal
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ComponentsSettings, ServerSettings
from gateway.settings import ConfigError, Settings
from gateway.supervisor import notify_ready
from gateway.telemetry import get_logger
from workers.appserver.connection import Connection
from workers.appserver.registration import Apps
from workers.appserver.service import Service
from workers.appserver.settings import AppServerSettings
from workers.push.settings import PushSettings

log = get_logger(__name__)

REDIS_AT_START_S = 30.0
"""how long a start waits for Redis, which may be starting itself"""

DAY_MS = 86_400_000


def faults_of(settings: Settings) -> Iterator[str]:
    """What no section can know by itself, one line each."""
    domains, apps = settings.of(ServerSettings).domains, settings.of(PushSettings).apps
    own = {*domains, *(f"push.{domain}" for domain in domains), *settings.of(ComponentsSettings).domains}
    for domain, peer in settings.of(AppServerSettings).servers.items():
        where = f"appserver.servers.{domain}"
        if domain in own:
            yield f"{where}: is this server's own; its users need no app server (docs/push.md)"
        for name in peer.apps:
            if name not in apps:
                yield f"{where}.apps: there is no [push.apps.{name}]"
        if not apps:
            yield f"{where}: nothing can be pushed: no app is configured, [push.apps.NAME]"


def build(settings: Settings, journal: Journal) -> list[Connection]:
    """A connection for each server. Raises ConfigError with all that is wrong."""
    faults = list(faults_of(settings))
    if faults:
        raise ConfigError(*faults)
    section, apps = settings.of(AppServerSettings), settings.of(PushSettings).apps
    limits = Limits(section.devices, section.tokens_per_hour, section.kept_days * DAY_MS)
    connections = []
    for domain, peer in section.servers.items():
        devices = Devices(journal, domain, limits=limits)
        service = Service(domain, peer, devices, Apps.allowed(domain, peer.apps, apps, peer.content))
        connections.append(Connection(domain, peer, service, section))
    return connections


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError, StoreUnavailable when it cannot start.

    With no server configured it does nothing, so that it may stand in a Procfile.
    """
    journal = open_journal(settings.of(RedisSettings), settings.of(ServerSettings).data_dir)
    connections = build(settings, journal)
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    journal.start()
    try:
        journal.wait_up(REDIS_AT_START_S)
        running = [gevent.spawn(connection.run) for connection in connections]
        log.info("app_server_started", components=[connection.domain for connection in connections])
        notify_ready()
        stopping.wait()
        gevent.joinall([gevent.spawn(connection.stop) for connection in connections])
        gevent.joinall(running, timeout=1.0)
        log.info("app_server_stopped")
    finally:
        journal.stop()
