"""The sweeper's process: put together, started, stopped."""

from __future__ import annotations

import signal

import gevent
from gevent.event import Event

from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.node_settings import NodesSettings
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import OfflineSettings, RedisSettings, SmacksSettings
from gateway.sections import ComponentsSettings, ServerSettings
from gateway.settings import Settings
from gateway.supervisor import notify_ready
from gateway.telemetry import get_logger
from workers.sweeper.bounces import Bouncer
from workers.sweeper.leases import Leases
from workers.sweeper.libraries import Libraries
from workers.sweeper.sweeper import Sweeper

log = get_logger(__name__)

REDIS_AT_START_S = 30.0
"""how long a start waits for Redis, which may be starting itself"""


def build(settings: Settings, journal: Journal) -> Sweeper:
    """A sweeper on a journal, as the settings say."""
    server, smacks, offline = settings.of(ServerSettings), settings.of(SmacksSettings), settings.of(OfflineSettings)
    push = settings["push"]
    sweep = Sweep(journal, smacks=smacks, offline=offline, wake_rate=push.wake_rate if push.wake_on_restart else 0.0)
    components = settings.of(ComponentsSettings).domains
    mailbox = Mailbox(journal, node="", smacks=smacks, offline=offline, components=components)
    bouncer = Bouncer(mailbox, sweep, domains=server.domains, components=components)
    return Sweeper(journal, sweep, bouncer, Leases(settings.of(NodesSettings).lease))


def run(settings: Settings) -> None:
    """Sweep until SIGTERM or SIGINT. Raises ConfigError, StoreUnavailable when it cannot start."""
    journal = open_journal(settings.of(RedisSettings), settings.of(ServerSettings).data_dir)
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    sweeper, libraries = build(settings, journal), Libraries(journal)
    journal.start()
    try:
        journal.wait_up(REDIS_AT_START_S)
        sweeper.start()
        libraries.start()
        log.info("sweeper_started")
        notify_ready()
        stopping.wait()
        libraries.stop()
        sweeper.stop()
        log.info("sweeper_stopped")
    finally:
        journal.stop()
