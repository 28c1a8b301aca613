"""[push] and [push.apps.NAME]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.settings import ConfigError, load
from tests.push.builders import a_file, an_android_app, an_iphone_app
from workers.push.apps import Apps
from workers.push.providers.webpush.keys import new_key
from workers.push.settings import AppSettings, PushSettings
from workers.push.token_store import LocalTokenStore
from workers.sandbox.server import Sandbox

IPHONE: dict[str, Any] = {
    "provider": "apns",
    "topic": "org.example.chat",
    "team_id": "TEAM123456",
    "key_id": "KEY1234567",
    "key_file": "AuthKey.p8",
}

BROWSER: dict[str, Any] = {
    "provider": "webpush",
    "vapid_key_file": "vapid.pem",
    "vapid_subject": "mailto:admin@example.org",
}


def faults(**fields: Any) -> list[str]:
    return list(AppSettings(**fields).faults())


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in IPHONE.items() if key != name}


def test_the_example_of_the_contract_has_no_faults(tmp_path: Path) -> None:
    file = a_file(
        tmp_path,
        "wakegate.toml",
        b"""
        [push.apps.chat-ios]
        provider = "apns"
        topic = "org.example.chat"
        team_id = "TEAM123456"
        key_id = "KEY1234567"
        key_file = "config/credentials/AuthKey.p8"
        environment = "production"
        endpoint = ""
        content = "none"

        [push.apps.chat-android]
        provider = "fcm"
        service_account_file = "config/credentials/service-account.json"
        endpoint = ""
        """,
    )
    settings = load({"push": PushSettings}, files=[Path(file)])

    assert ["chat-ios", "chat-android"] == list(settings.of(PushSettings).apps)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, "provider: must be set"),
        ({**BROWSER, "vapid_key_file": ""}, "vapid_key_file: must be set"),
        ({**BROWSER, "vapid_subject": ""}, "vapid_subject: must be set"),
        ({**BROWSER, "vapid_subject": "admin@example.org"}, "vapid_subject: must be set"),
        ({**BROWSER, "vapid_subject": "mailto:admin@localhost"}, "vapid_subject: push services refuse localhost"),
        ({**BROWSER, "endpoint": "https://push.example"}, "endpoint: has no meaning"),
        ({"provider": "appserver"}, "service: the app server's JID is needed, got ''"),
        ({**IPHONE, "content": "encrypted"}, "'encrypted' is not available yet"),
        (without("topic"), "topic: must be set"),
        (without("team_id"), "team_id: must be set"),
        ({**IPHONE, "key_id": "short"}, "key_id: has ten characters"),
        (without("key_file"), "key_file: set either key_file"),
        ({**IPHONE, "certificate_file": "c.pem"}, "key_file: set either key_file"),
        ({**IPHONE, "endpoint": "127.0.0.1:2197"}, "endpoint: an https:// URL"),
        ({**IPHONE, "endpoint": "http://127.0.0.1:2197"}, "endpoint: an https:// URL"),
        ({"provider": "fcm"}, "service_account_file: must be set"),
    ],
)
def test_what_is_missing_or_not_there_yet_is_said(fields: dict[str, Any], fault: str) -> None:
    found = faults(**fields)

    assert 1 == len(found), found
    assert fault in found[0]


def test_a_certificate_needs_no_team_and_key() -> None:
    assert [] == faults(provider="apns", topic="org.example.chat", certificate_file="c.pem")


CERTIFICATE = {"provider": "apns", "topic": "org.example.chat"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (IPHONE, "key_file"),
        (CERTIFICATE, "certificate_file"),
        ({"provider": "fcm"}, "service_account_file"),
        (BROWSER, "vapid_key_file"),
    ],
)
def test_a_file_that_is_not_there_or_is_something_else_is_a_fault(
    tmp_path: Path, fields: dict[str, Any], name: str
) -> None:
    missing = AppSettings(**{**fields, name: str(tmp_path / "missing")})
    other = AppSettings(**{**fields, name: a_file(tmp_path, "other", b"{}"), "ca_file": a_file(tmp_path, "ca", b"")})
    found = [list(missing.file_faults()), list(other.file_faults())]

    assert [f"{name}: {tmp_path}/missing: cannot be read: No such file or directory"] == found[0]
    assert ["ca_file", name] == [fault.partition(":")[0] for fault in found[1]]


def test_a_public_key_that_belongs_to_another_key_is_a_fault(tmp_path: Path) -> None:
    public = new_key(tmp_path / "one.pem")
    other = new_key(tmp_path / "two.pem")
    app = {**BROWSER, "vapid_key_file": str(tmp_path / "one.pem"), "content": "encrypted"}
    right, none, wrong = (AppSettings(**app, vapid_public_key=key) for key in (public + "=", "", other))

    assert ([], []) == (list(right.file_faults()), list(none.file_faults()))
    assert [
        f"vapid_key_file: {tmp_path}/one.pem: vapid_public_key is not the public half of this key, which is {public}"
    ] == list(wrong.file_faults())


def test_a_closed_network_may_call_itself_localhost() -> None:
    assert [] == faults(**{**BROWSER, "vapid_subject": "mailto:admin@localhost", "allow_private": True})


def test_files_of_an_app_that_cannot_work_anyway_are_not_looked_at() -> None:
    assert [] == list(AppSettings(provider="apns", key_file="missing").file_faults())


def test_the_credentials_of_the_sandbox_are_usable(sandbox: Sandbox) -> None:
    certificate = an_iphone_app(
        sandbox,
        key_file="",
        team_id="",
        key_id="",
        certificate_file=sandbox.addresses["client_certificate_file"],
    )
    apps = [an_iphone_app(sandbox), certificate, an_android_app(sandbox)]

    assert [] == [fault for app in apps for fault in app.file_faults()]


def test_all_credentials_that_cannot_be_read_are_reported_together(tmp_path: Path) -> None:
    bad = a_file(tmp_path, "bad.json", b'{"type": "service_account"}')
    settings = PushSettings(
        apps={
            "one": AppSettings(**{**IPHONE, "key_file": str(tmp_path / "missing.p8")}),
            "two": AppSettings(provider="fcm", service_account_file=bad),
            "three": AppSettings(provider="fcm", service_account_file=str(tmp_path / "missing.json")),
            "four": AppSettings(provider="webpush"),
        }
    )
    with pytest.raises(ConfigError) as caught:
        Apps(settings, store=LocalTokenStore())

    assert [
        "push.apps.one.key_file",
        "push.apps.two.service_account_file",
        "push.apps.three.service_account_file",
        "push.apps.four.vapid_key_file",
        "push.apps.four.vapid_subject",
    ] == [fault.partition(":")[0] for fault in caught.value.faults]
    assert "is not the JSON file of a service account" in caught.value.faults[1]
