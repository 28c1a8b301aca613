"""The push worker's process: reads events, keeps bounded work in hand, drains when it is told to stop."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import Event as Flag
from gevent.pool import Pool as Crew

from gateway.mailbox.errors import StoreError
from gateway.mailbox.keys import CONSUMER_GROUP
from gateway.mailbox.opening import open_journal
from gateway.mailbox.push_workers import PushWorkers
from gateway.mailbox.pushes import STREAMS, Event, Pushes
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ComponentsSettings, ServerSettings
from gateway.settings import ConfigError, Settings
from gateway.supervisor import notify_ready
from gateway.telemetry import get_logger
from workers.cluster_consumer import ClusterConsumer
from workers.consumer import Consumer, Consuming, Entry
from workers.push.apps import Apps
from workers.push.dispatcher import Dispatcher
from workers.push.providers.appserver.servers import AppServers
from workers.push.report import Report
from workers.push.settings import PushSettings
from workers.push.token_store import SharedTokenStore

log = get_logger(__name__)

BLOCK_S: Final = 1.0
"""How long a read waits for events: also how soon a stop is noticed."""

TAKEN_OVER_S: Final = 6.0
"""What a worker had in hand that gives no sign of life for so long, another takes over."""

RENEW_S: Final = 1.5
"""How often it gives one."""

REFRESH_S: Final = 5.0
"""How often the credentials' files are looked at."""

LEAVE_S: Final = 1.0
"""How long a worker that stops tries to say so."""

REDIS_AT_START_S: Final = 30.0
"""Redis may be starting itself."""

PAUSE_S: Final = 0.5


class PushWorker:
    """`run` until `stop`. Everything it holds can be rebuilt from Redis, so a killed one loses nothing."""

    def __init__(
        self,
        store: RedisSettings,
        *,
        settings: PushSettings,
        name: str = "",
        data_dir: Path = Path(),
        installation: Settings | None = None,
    ) -> None:
        """Reads the credentials; connects to nothing. Raises ConfigError with all that is wrong with them.

        `data_dir` is where an embedded server listens. `installation`: the whole configuration, which says what app
        servers can be reached; None: none.
        """
        self._settings = settings
        self._journal = open_journal(store, data_dir)
        app_servers, lanes = None, 1
        if installation is not None:
            app_servers = AppServers.on(self._journal, installation, request_timeout_s=settings.request_timeout)
            lanes += len(installation.of(ComponentsSettings).domains)
        self._apps = Apps(settings, store=SharedTokenStore(self._journal), app_servers=app_servers)
        pushes = Pushes(self._journal, trace_length=settings.trace_length, trace_days=settings.trace_days)
        self._dispatcher = Dispatcher(pushes, self._apps, settings=settings)
        credentials = len({self._apps[app].breaker for app in self._apps.names})
        # More than all lanes together: when each of them is full, there is still room to take an event and put it back.
        self._crew = Crew(settings.in_flight * (credentials + lanes))
        name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._report = Report(PushWorkers(self._journal), self._apps, name=name, in_hand=lambda: len(self._crew))
        self._consumer: Consuming
        group: Any = {"streams": tuple(STREAMS), "group": CONSUMER_GROUP, "name": name, "claim_after_s": TAKEN_OVER_S}
        if self._journal.is_sharded:
            self._consumer = ClusterConsumer(self._journal, **group)
        else:
            self._consumer = Consumer(store.servers(data_dir).source(), **group)
        self._in_hand: set[tuple[str, str]] = set()
        self._stopping = Flag()
        self._stopped = Flag()

    def start(self, timeout_s: float) -> None:
        """Connect. Raises StoreUnavailable if Redis does not answer in time."""
        self._journal.start()
        self._journal.wait_up(timeout_s)

    def run(self) -> None:
        """Work until `stop`; then finish what is in hand within `[push] drain`, leave the rest to others, and close."""
        self._journal.start()
        reporting = gevent.spawn(self._report.loop)
        renewing, refreshing = gevent.spawn(self._renew), gevent.spawn(self._refresh)
        try:
            while not self._stopping.is_set():
                self._turn()
            self._drain()
        finally:
            gevent.killall((renewing, refreshing))
            reporting.kill()
            with gevent.Timeout(LEAVE_S, False):  # Redis may be gone as well, and then nobody has to be told
                self._report.leave()
            self._apps.close()
            self._consumer.leave()
            self._journal.stop()
            self._stopped.set()

    def stop(self) -> None:
        """Ask `run` to end. Returns at once."""
        self._stopping.set()

    def reload(self, settings: PushSettings) -> list[str]:
        """Follow a new [push] section: apps, and when and how to push. Answers what has changed, a line each."""
        self._dispatcher.reload(settings)
        return self._apps.reload(settings)

    def join(self, timeout_s: float) -> bool:
        """Wait for `run` to end."""
        return bool(self._stopped.wait(timeout_s))

    def _turn(self) -> None:
        self._crew.wait_available()
        try:
            for entry in self._consumer.read(self._crew.free_count(), block_s=BLOCK_S):
                if (entry.stream, entry.id) not in self._in_hand:
                    self._in_hand.add((entry.stream, entry.id))
                    self._crew.spawn(self._handle, entry)
        except StoreError as error:
            log.warning("push_events_unreadable", error=error)
            self._stopping.wait(PAUSE_S)

    def _handle(self, entry: Entry) -> None:
        try:
            self._dispatcher.handle(Event.read(STREAMS[entry.stream], entry.id, entry.fields))
        except StoreError as error:
            # It stays pending, and is claimed again, by us or by another.
            log.warning("push_event_left", entry=entry.id, error=error)
        except Exception:  # one event must not end the worker; it is taken over again
            log.exception("push_event_failed", entry=entry.id)
        finally:
            self._in_hand.discard((entry.stream, entry.id))

    def _renew(self) -> None:
        """What is in hand is ours while we live, however long a provider takes."""
        while True:
            gevent.sleep(RENEW_S)
            try:
                if self._in_hand:
                    self._consumer.renew(tuple(self._in_hand))
            except StoreError as error:
                log.warning("push_events_not_renewed", error=error)

    def _refresh(self) -> None:
        """A new key is used as soon as it lies where the old one was."""
        while True:
            gevent.sleep(REFRESH_S)
            try:
                self._apps.refresh()
            except Exception:  # what is in use stays in use
                log.exception("push_apps_not_refreshed")

    def _drain(self) -> None:
        log.info("push_worker_draining", in_hand=len(self._crew))
        if not self._crew.join(timeout=self._settings.drain):
            log.warning("push_worker_left_work", in_hand=len(self._crew))
            self._crew.kill(timeout=1.0)


def run(settings: Settings, *, again: Callable[[], Settings]) -> None:
    """`wakegate push`: work until SIGTERM or SIGINT; on SIGHUP follow what `again` reads of the configuration.

    Raises ConfigError, StoreUnavailable if Redis is not there at the start.
    """
    worker = PushWorker(
        settings.of(RedisSettings),
        settings=settings.of(PushSettings),
        data_dir=settings.of(ServerSettings).data_dir,
        installation=settings,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, worker.stop)
    gevent.signal_handler(signal.SIGHUP, _reload, worker, again)
    worker.start(REDIS_AT_START_S)
    notify_ready()
    # A sixth of a busy worker's CPU went into the search for reference cycles, of which pushes make none: what exists
    # now stays, and is not searched again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    worker.run()


def _reload(worker: PushWorker, again: Callable[[], Settings]) -> None:
    try:
        worker.reload(again().of(PushSettings))
    except ConfigError as error:  # what was in use stays in use
        log.error("configuration_not_reloaded", faults=len(error.faults), first=error.faults[0])
