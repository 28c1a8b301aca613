"""The worker's report of itself every few seconds: how it stands with each credential, for dashboard and alerts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import gevent

from gateway.mailbox.errors import StoreError
from gateway.mailbox.push_workers import CredentialReport, PushWorkers, WorkerReport
from gateway.telemetry import get_logger
from workers.push.apps import Apps
from workers.push.breaker import Breaker
from workers.push.settings import APPSERVER
from workers.push.standing import Standing, standing_of

log = get_logger(__name__)

EVERY_S: Final = 5.0

LONGEST_WHY: Final = 200
"""characters of a breaker's reason that are kept"""


class Report:
    """`loop` runs in a greenlet of its own, until it is killed."""

    def __init__(self, workers: PushWorkers, apps: Apps, *, name: str, in_hand: Callable[[], int]) -> None:
        """`name`: the worker's; `in_hand`: how many events it has."""
        self._workers = workers
        self._apps = apps
        self._name = name
        self._in_hand = in_hand

    def loop(self) -> None:
        """Report now and every few seconds. While Redis is away nobody is told."""
        while True:
            try:
                self._workers.report(self._name, self.made())
            except StoreError as error:
                log.debug("push_report_not_made", error=error)
            except Exception:  # what operators see must not end what phones need
                log.exception("push_report_failed")
            gevent.sleep(EVERY_S)

    def leave(self) -> None:
        """The worker stops, and is not to be taken for one that hangs."""
        try:
            self._workers.leave(self._name)
        except StoreError as error:
            log.debug("push_report_not_withdrawn", error=error)

    def made(self) -> WorkerReport:
        """The report as of now: apps with the same credential are one line."""
        apps: dict[Breaker, list[str]] = {}
        for name in self._apps.names:
            apps.setdefault(self._apps[name].breaker, []).append(name)
        return WorkerReport(
            in_hand=self._in_hand(),
            credentials=(
                *(self._credential(names, breaker) for breaker, names in apps.items()),
                *self._of_app_servers(apps),
            ),
        )

    def _of_app_servers(self, known: Collection[Breaker]) -> list[CredentialReport]:
        """Those that were spoken to and are no app's: they have no credentials, but a breaker each."""
        servers = self._apps.app_servers
        standing = Standing() if servers is None else servers.standing(but=known)
        if not standing.breakers:
            return []
        report = CredentialReport(provider=APPSERVER, apps=(), breakers=standing.breakers, why=_short(standing.why))
        return [report]

    def _credential(self, names: list[str], breaker: Breaker) -> CredentialReport:
        standing = standing_of(self._apps[names[0]], breaker)
        return CredentialReport(
            provider=self._apps.settings[names[0]].provider,
            apps=tuple(sorted(names)),
            breakers=standing.breakers,
            why=_short(standing.why),
            connections=standing.connections,
            waiting=standing.waiting,
            token_age_s=standing.token_age_s,
        )


def _short(why: str) -> str:
    return why[:LONGEST_WHY]
