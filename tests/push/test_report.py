"""What a push worker says of itself: true, by credential, and gone when it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.push_workers import CredentialReport, PushWorkers
from gateway.mailbox.settings import OfflineSettings, RedisSettings, SmacksSettings
from tests.push.builders import an_android_app, an_iphone_app
from tests.push.sleeping import Town, wait_until
from workers.push import report as report_module
from workers.push.apps import Apps
from workers.push.providers.appserver.client import Client
from workers.push.providers.appserver.servers import AppServers
from workers.push.report import Report
from workers.push.settings import PushSettings
from workers.push.token_store import LocalTokenStore
from workers.push.worker import PushWorker
from workers.sandbox.server import Sandbox


@pytest.fixture
def town(redis_url: str) -> Iterator[Town]:
    """Mailboxes on an empty Redis."""
    made = Town(redis_url)
    yield made
    made.leave()


@pytest.fixture
def workers(town: Town, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[PushWorkers]:
    """One worker called "w", which reports often."""
    monkeypatch.setattr(report_module, "EVERY_S", 0.02)
    apps: dict[str, Any] = {
        "chat": an_iphone_app(sandbox),
        "beta": an_iphone_app(sandbox, topic="org.example.chat.beta"),
        "droid": an_android_app(sandbox),
    }
    worker = PushWorker(
        RedisSettings(url=town.url), settings=PushSettings(apps=apps, floor=0.0, retry_first=0.1), name="w"
    )
    running = gevent.spawn(worker.run)
    yield PushWorkers(town.journal)
    worker.stop()
    running.join(30)

    assert {} == PushWorkers(town.journal).all()


def line(workers: PushWorkers, provider: str) -> CredentialReport:
    """What "w" says of its only credential there."""
    wait_until(lambda: "w" in workers.all())
    (found,) = (report for report in workers.all()["w"].credentials if report.provider == provider)
    return found


def test_apps_of_one_key_are_one_credential_whose_connections_and_token_are_told(
    town: Town, workers: PushWorkers
) -> None:
    before = line(workers, "apns")
    town.a_sleeping_phone().gets()
    wait_until(lambda: line(workers, "apns").connections == 1)
    after = line(workers, "apns")

    assert (("beta", "chat"), {"closed": 1}, 0, None) == (
        before.apps,
        before.breakers,
        before.connections,
        before.token_age_s,
    )
    assert after.token_age_s is not None and 0 <= after.token_age_s < 60


def test_a_breaker_that_opens_is_told_with_its_reason(town: Town, workers: PushWorkers, sandbox: Sandbox) -> None:
    sandbox.arm_apns("ab" * 32, reason="InvalidProviderToken")
    town.a_sleeping_phone().gets()
    wait_until(lambda: line(workers, "apns").breakers == {"open": 1})

    assert "InvalidProviderToken" == line(workers, "apns").why
    assert {"closed": 1} == line(workers, "fcm").breakers


def test_app_servers_that_registrations_name_are_told_together(town: Town) -> None:
    mailbox = Mailbox(
        town.journal,
        node="n1",
        smacks=SmacksSettings(),
        offline=OfflineSettings(),
        components=["a.example", "b.example"],
    )
    servers = AppServers(Client(mailbox), domain="localhost", request_timeout_s=1.0)
    apps = Apps(PushSettings(), store=LocalTokenStore(), app_servers=servers)
    report = Report(PushWorkers(town.journal), apps, name="w", in_hand=lambda: 3)
    before = report.made()
    servers.of("a.example").breaker.trip("remote-server-timeout")
    servers.of("b.example")
    (found,) = report.made().credentials
    apps.close()

    assert ((), 3) == (before.credentials, before.in_hand)
    assert ("appserver", (), {"open": 1, "closed": 1}, "remote-server-timeout") == (
        found.provider,
        found.apps,
        found.breakers,
        found.why,
    )


def test_connections_over_http_1_are_counted_too(town: Town, workers: PushWorkers) -> None:
    town.a_sleeping_phone(app="droid", token="android-token").gets()
    wait_until(lambda: line(workers, "fcm").connections == 1)

    assert 0 == line(workers, "fcm").waiting
