"""Apps that come, change and go, and credentials that are replaced, while pushes are under way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest

from gateway.settings import ConfigError
from tests.push.builders import DEVICE, a_push, an_android_app, an_iphone_app
from tests.push.sleeping import wait_until
from workers.push.apps import Apps
from workers.push.breaker import State
from workers.push.outcome import Delivered, Later
from workers.push.settings import AppSettings, PushSettings
from workers.push.standing import standing_of
from workers.push.token_store import LocalTokenStore
from workers.sandbox.server import Sandbox


@pytest.fixture
def key_file(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A copy of the key that the sandbox knows."""
    return Path(shutil.copy(sandbox.addresses["apns_key_file"], tmp_path / "key.p8"))


@pytest.fixture
def iphone(sandbox: Sandbox, key_file: Path) -> AppSettings:
    """An app with that key."""
    return an_iphone_app(sandbox, key_file=str(key_file))


@pytest.fixture
def apps(iphone: AppSettings) -> Iterator[Apps]:
    """One app."""
    made = Apps(PushSettings(apps={"chat": iphone}, request_timeout=10.0), store=LocalTokenStore())
    yield made
    made.close()


def put(file: Path, content: bytes) -> None:
    """Replace a file as an editor does; its time of change is another one, however fast this test is."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    stat = file.stat()
    os.utime(fresh, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    fresh.replace(file)


def another_key() -> bytes:
    from tests.push.test_apns_token import KEY, a_pem

    return a_pem(KEY)


def test_nothing_happens_while_nothing_changes(apps: Apps) -> None:
    before = apps["chat"]

    assert [] == apps.refresh()
    assert apps["chat"] is before


def test_a_key_that_is_replaced_is_used_from_then_on(apps: Apps, key_file: Path, sandbox: Sandbox) -> None:
    good = key_file.read_bytes()
    put(key_file, another_key())

    assert ["chat: has a new credential"] == apps.refresh()
    assert Later(None, "InvalidProviderToken", alert=True) == apps["chat"].send(a_push())
    put(key_file, good)
    assert ["chat: has a new credential"] == apps.refresh()
    assert isinstance(apps["chat"].send(a_push()), Delivered)
    assert State.CLOSED is apps["chat"].breaker.state


def test_a_new_key_gets_new_connections_and_the_old_ones_finish_what_they_have(
    apps: Apps, key_file: Path, sandbox: Sandbox
) -> None:
    old = apps["chat"]
    sandbox.arm_apns(DEVICE, delay_s=1.0, times=1)
    slow = gevent.spawn(old.send, a_push())
    wait_until(lambda: sandbox.faults.listing() == [])
    put(key_file, key_file.read_bytes())
    apps.refresh()

    assert isinstance(apps["chat"].send(a_push(token="cd" * 32)), Delivered)
    assert not slow.ready()
    assert isinstance(slow.get(timeout=10), Delivered)
    assert 2 == len({received.connection for received in sandbox.record.since()})
    wait_until(lambda: standing_of(old, old.breaker).connections == 0)


@pytest.mark.parametrize("content", [b"", b"not a key"])
def test_a_broken_file_leaves_the_old_key_in_use_and_is_complained_about_once(
    apps: Apps, key_file: Path, content: bytes
) -> None:
    good = key_file.read_bytes()
    put(key_file, content)
    (said,) = apps.refresh()

    assert said.startswith("chat: stays as it was: key_file: ")
    assert [] == apps.refresh()
    assert isinstance(apps["chat"].send(a_push()), Delivered)
    put(key_file, good)
    assert ["chat: has a new credential"] == apps.refresh()


def test_a_file_that_is_gone_leaves_the_old_key_in_use(apps: Apps, key_file: Path) -> None:
    key_file.unlink()

    assert "No such file" in apps.refresh()[0]
    assert isinstance(apps["chat"].send(a_push()), Delivered)


def test_a_service_account_that_is_replaced_is_used_from_then_on(sandbox: Sandbox, tmp_path: Path) -> None:
    file = Path(shutil.copy(sandbox.addresses["service_account_file"], tmp_path / "account.json"))
    app = an_android_app(sandbox, service_account_file=str(file))
    apps = Apps(PushSettings(apps={"droid": app}), store=LocalTokenStore())
    before = apps["droid"]
    put(file, file.read_bytes())

    assert ["droid: has a new credential"] == apps.refresh()
    assert isinstance(apps["droid"].send(a_push()), Delivered)
    assert isinstance(before.send(a_push()), Delivered)
    apps.close()


def test_apps_are_added_and_removed_and_others_keep_their_connections(
    apps: Apps, iphone: AppSettings, sandbox: Sandbox
) -> None:
    before = apps["chat"]
    assert isinstance(before.send(a_push()), Delivered)
    both = PushSettings(apps={"chat": iphone, "droid": an_android_app(sandbox)}, request_timeout=10.0)

    assert ["droid: added"] == apps.reload(both)
    assert isinstance(apps["droid"].send(a_push()), Delivered)
    assert isinstance(apps["chat"].send(a_push()), Delivered)
    assert before.breaker is apps["chat"].breaker
    assert 1 == len({r.connection for r in sandbox.record.since() if r.provider == "apns"})

    assert ["chat: removed"] == apps.reload(replace(both, apps={"droid": both.apps["droid"]}))
    assert (["droid"], ["droid"], False) == (apps.names, list(apps.settings), "chat" in apps)


def test_a_change_that_cannot_work_leaves_the_app_as_it_was(apps: Apps, iphone: AppSettings) -> None:
    wrong = {"chat": replace(iphone, topic=""), "new": AppSettings(provider="fcm")}
    said = apps.reload(PushSettings(apps=wrong))

    assert ["chat: stays as it was: topic", "new: is left out: service_account_file"] == [
        line.rsplit(": ", 1)[0] for line in said
    ]
    assert iphone == apps.settings["chat"]
    assert isinstance(apps["chat"].send(a_push()), Delivered)


def test_a_change_of_words_keeps_the_connections(apps: Apps, iphone: AppSettings, sandbox: Sandbox) -> None:
    apps["chat"].send(a_push())
    said = apps.reload(PushSettings(apps={"chat": replace(iphone, message_text="Ping")}, request_timeout=10.0))
    apps["chat"].send(a_push())

    assert ["chat: changed"] == said
    assert "Ping" == sandbox.record.since()[-1].payload["aps"]["alert"]["body"]
    assert 1 == len({received.connection for received in sandbox.record.since()})


def test_at_the_start_all_that_is_wrong_is_said_at_once(iphone: AppSettings) -> None:
    wrong = {"a": replace(iphone, key_file="/nowhere.p8"), "b": replace(iphone, topic="")}

    with pytest.raises(ConfigError) as caught:
        Apps(PushSettings(apps=wrong), store=LocalTokenStore())
    assert ["push.apps.a.key_file", "push.apps.b.topic"] == [line.partition(":")[0] for line in caught.value.args]
