"""The archiver's process: put together, started, stopped."""

from __future__ import annotations

import secrets
import signal

import gevent
from gevent.event import Event

from gateway.archive.database import MOST_STEPS
from gateway.archive.opening import store_of
from gateway.archive.settings import ArchiveSettings
from gateway.archive.store import ArchiveStore
from gateway.mailbox.archive_moves import LEASE_MS, ArchiveMoves
from gateway.mailbox.archives import set_default
from gateway.mailbox.journal import Journal
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ServerSettings
from gateway.settings import Settings
from gateway.supervisor import notify_ready
from gateway.telemetry import get_logger
from workers.archiver.archiver import Archiver
from workers.archiver.mover import Mover
from workers.archiver.retention import DAY_MS, Retention

log = get_logger(__name__)

REDIS_AT_START_S = 30.0
"""how long a start waits for Redis, which may be starting itself"""


def build(settings: Settings, journal: Journal) -> tuple[Archiver, ArchiveStore]:
    """An archiver on a journal, as the settings say, and its store."""
    archive = settings.of(ArchiveSettings)
    store = store_of(settings)
    moves = ArchiveMoves(
        journal,
        token=secrets.token_hex(8),
        recent_ms=int(archive.recent_days * DAY_MS),
        recent=archive.recent_messages,
        lease_ms=max(LEASE_MS, int((MOST_STEPS + 1) * archive.timeout_s * 1000)),
    )
    retention = Retention(moves, store, archive)
    return Archiver(journal, moves, Mover(moves, store), retention, interval_s=archive.interval), store


def run(settings: Settings) -> None:
    """Archive until SIGTERM or SIGINT. Raises ConfigError, StoreUnavailable when it cannot start."""
    journal = open_journal(settings.of(RedisSettings), settings.of(ServerSettings).data_dir)
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    archiver, store = build(settings, journal)
    journal.start()
    try:
        journal.wait_up(REDIS_AT_START_S)
        set_default(journal, settings.of(ArchiveSettings).archive_default)
        archiver.start()
        log.info("archiver_started")
        notify_ready()
        stopping.wait()
        archiver.stop()
        log.info("archiver_stopped")
    finally:
        journal.stop()
        store.close()
