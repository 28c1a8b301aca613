"""What [appserver] may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.configuration import sections
from gateway.settings import ConfigError, Settings, load, warnings
from workers.appserver.process import faults_of

GOOD = """
[push.apps.chat]
provider = "apns"
topic = "org.example.chat"
team_id = "TEAM123456"
key_id = "KEY1234567"
key_file = "key.p8"

[appserver.servers."push.peer.example"]
secret = "s"
apps = ["chat"]
"""


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "wakegate.toml"
    file.write_text(text)
    return load(sections(), files=[file])


def test_a_server_needs_its_secret_and_little_else(tmp_path: Path) -> None:
    settings: Any = read(tmp_path, GOOD)
    peer = settings.appserver.servers["push.peer.example"]

    assert ("127.0.0.1", 5347, "none", "ignore") == (peer.host, peer.port, peer.content, peer.unimportant)
    assert [] == list(faults_of(settings))


@pytest.mark.parametrize(
    ("former", "latter", "fault"),
    [
        ('secret = "s"', "", "secret: must be set"),
        ('secret = "s"', 'secret = "s"\nport = 0', "port"),
        ('secret = "s"', 'secret = "s"\nhost = ""', "host: must be set"),
        ("push.peer.example", "Push.peer.example", "is no domain"),
        ('secret = "s"', 'secret = "s"\ncontent = "encrypted"', "content"),
    ],
)
def test_what_cannot_work_is_said_when_it_is_read(tmp_path: Path, former: str, latter: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        read(tmp_path, GOOD.replace(former, latter))


@pytest.mark.parametrize(
    ("former", "latter", "fault"),
    [
        ('["chat"]', '["chat", "other"]', "there is no [push.apps.other]"),
        ("push.peer.example", "push.localhost", "is this server's own"),
        ("push.peer.example", "localhost", "is this server's own"),
    ],
)
def test_what_does_not_fit_the_rest_is_said_at_the_start(tmp_path: Path, former: str, latter: str, fault: str) -> None:
    (found,) = faults_of(read(tmp_path, GOOD.replace(former, latter)))

    assert fault in found


def test_without_an_app_nothing_can_be_pushed(tmp_path: Path) -> None:
    settings = read(tmp_path, '[appserver.servers."push.peer.example"]\nsecret = "s"\n')

    assert ["no app is configured"] == [fault.split(": ")[2].split(",")[0] for fault in faults_of(settings)]


def test_a_server_elsewhere_is_warned_of_since_there_is_no_encryption(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD.replace('secret = "s"', 'secret = "s"\nhost = "192.0.2.1"'))

    assert ["192.0.2.1 is spoken to without TLS" in warning for warning in warnings(settings)] == [True]
    assert [] == warnings(read(tmp_path, GOOD))


def test_the_secret_may_stand_in_a_file_and_shows_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the component\n")
    settings: Any = read(tmp_path, GOOD.replace('"s"', f'"file:{secret}"'))
    peer = settings.appserver.servers["push.peer.example"]

    assert "of the component" == peer.secret.value()
    assert "of the component" not in repr(settings.appserver)
