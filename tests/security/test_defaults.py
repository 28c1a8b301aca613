"""What an installation does that nobody has configured."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from gateway import configuration
from gateway.enrolment import RegistrationSettings
from gateway.features import FEATURES
from gateway.operators import AdministrationSettings
from gateway.sections import ListenSettings, ServerSettings
from gateway.session import stream
from gateway.settings import load
from gateway.transports.listener import parse_address
from gateway.transports.tls import TlsSettings
from workers.push.settings import AppSettings

ROOT = Path(__file__).parents[2]
SETTINGS = load(configuration.sections())


def test_every_port_is_on_loopback() -> None:
    listen = SETTINGS.of(ListenSettings)
    addresses = [*listen.c2s, *listen.c2s_tls, *listen.websocket, *listen.components, *listen.web]

    assert {"127.0.0.1"} == {parse_address(address)[0] for address in addresses}
    assert [] == listen.components


def test_tls_is_required_and_nobody_registers_or_administers() -> None:
    registration = SETTINGS.of(RegistrationSettings)

    assert SETTINGS.of(TlsSettings).required
    assert (False, "admins") == (registration.open, registration.invites)
    assert [] == SETTINGS.of(AdministrationSettings).admins
    assert ["localhost"] == SETTINGS.of(ServerSettings).domains


def test_lock_screens_show_nothing() -> None:
    app = AppSettings(provider="apns")

    assert "none" == app.content
    assert not app.allow_private


def test_no_stream_is_compressed() -> None:
    """XEP-0138: nothing offers it, and nothing in the gateway can inflate."""
    offered = "".join(feature.stream_features for feature in FEATURES) + stream.AFTER_AUTHENTICATION
    sources = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "gateway").rglob("*.py"))

    assert "compress" not in offered
    assert not re.search(r"^\s*(import|from) (zlib|gzip|bz2|lzma)", sources, re.MULTILINE)


def test_no_secret_is_in_the_repository() -> None:
    found = subprocess.run(
        ["git", "grep", "-lE", "-e", "-----BEGIN [A-Z ]*PRIVATE KEY-----$", "--", ":!tests"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "" == found.stdout
