"""The web process: put together, started, stopped."""

from __future__ import annotations

import signal

import gevent
from gevent.event import Event

from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ComponentsSettings, ListenSettings, ServerSettings
from gateway.settings import Settings
from gateway.supervisor import notify_ready
from gateway.telemetry import get_logger
from workers.web.dashboard import Dashboard
from workers.web.hosts import Hosts
from workers.web.pages import Pages
from workers.web.server import HttpServer
from workers.web.snapshots import Snapshots

log = get_logger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError when it cannot listen.

    Redis may be away, also at the start: that is what /healthz is there to tell.
    """
    listen, ours = settings.of(ListenSettings), settings.of(ServerSettings)
    journal = open_journal(settings.of(RedisSettings), ours.data_dir)
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    snapshots = Snapshots(journal, components=settings.of(ComponentsSettings).domains)
    hosts = Hosts([*ours.domains, *listen.web_hosts])
    server = HttpServer(listen.web, Pages(snapshots, Dashboard.load(), hosts))
    journal.start()
    try:
        server.start()
        log.info("web_started", addresses=server.addresses)
        notify_ready()
        stopping.wait()
        server.stop()
        log.info("web_stopped")
    finally:
        journal.stop()
