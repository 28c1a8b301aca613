"""Who else on this machine may read or replace a file with a secret: told at each start and by `config check`."""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import configuration, file_modes
from gateway.cli.config import config as config_command
from gateway.mailbox.embedded import EmbeddedServer
from gateway.settings import ConfigError, declared, load
from gateway.transports.self_signed import self_signed
from gateway.transports.tls import TlsSettings

KEY = "-----BEGIN PRIVATE KEY-----\n"
CHAIN = "-----BEGIN CERTIFICATE-----\n"


@pytest.fixture
def directory() -> Iterator[Path]:
    """One that everybody may enter, as /etc is."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def a_file(directory: Path, name: str, mode: int, content: str = "s3cret-value") -> Path:
    file = directory / name
    file.write_text(content)
    file.chmod(mode)
    return file


def a_configuration(directory: Path, text: str, mode: int = 0o600) -> Path:
    return a_file(directory, "wakegate.toml", mode, f'[server]\ndata_dir = "{directory}/data"\n{text}')


def told(file: Path) -> tuple[list[str], list[str]]:
    """Names of the settings with faults, and with warnings."""
    settings = load(configuration.sections(), files=[file])
    found = file_modes.faults(settings, [file]), file_modes.warnings(settings, [file])
    return [line.partition(":")[0] for line in found[0]], [line.partition(":")[0] for line in found[1]]


@pytest.mark.parametrize(
    ("mode", "is_fault", "is_warning"),
    [(0o600, False, False), (0o640, False, False), (0o660, False, False), (0o444, False, True), (0o644, False, True),
     (0o606, True, True), (0o602, True, False)],
)  # fmt: skip
def test_what_everybody_may_write_is_a_fault_and_what_everybody_may_read_a_warning(
    directory: Path, mode: int, is_fault: bool, is_warning: bool
) -> None:
    a_file(directory, "key.pem", mode, KEY)
    a_file(directory, "chain.pem", 0o644, CHAIN)

    faults, warnings = told(
        a_configuration(directory, f'[tls]\nkey = "{directory}/key.pem"\ncertificate = "{directory}/chain.pem"')
    )

    assert ["tls.key"] * is_fault == faults
    assert ["tls.key"] * is_warning == warnings


def test_a_certificate_with_its_key_is_a_secret_and_one_without_is_none(directory: Path) -> None:
    a_file(directory, "both.pem", 0o644, CHAIN + KEY)

    assert ([], ["tls.certificate"]) == told(a_configuration(directory, f'[tls]\ncertificate = "{directory}/both.pem"'))


def test_files_of_passwords_and_of_push_credentials_are_looked_at(directory: Path) -> None:
    secret = a_file(directory, "secret", 0o644)
    text = (
        f'[components.domains."rooms.localhost"]\nsecret = "file:{secret}"\n'
        f'[push.apps.a]\nprovider = "fcm"\nservice_account_file = "{secret}"\n'
    )

    expected = ["components.domains.rooms.localhost.secret", "push.apps.a.service_account_file"]
    assert expected == sorted(told(a_configuration(directory, text))[1])


def test_a_key_that_nobody_can_reach_may_have_any_mode_to_read(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    key = a_file(closed, "key.pem", 0o644, KEY)

    assert ([], []) == told(a_configuration(directory, f'[tls]\nkey = "{key}"\ncertificate = "{key}"'))


def test_a_key_in_a_directory_where_everybody_may_replace_it_is_a_fault(directory: Path) -> None:
    shared = directory / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    key = a_file(shared, "key.pem", 0o600, KEY)
    file = a_configuration(directory, f'[tls]\nkey = "{key}"\ncertificate = "{key}"')

    assert (["tls.certificate", "tls.key"], []) == told(file)
    shared.chmod(0o1777)
    assert ([], []) == told(file)


@pytest.mark.parametrize(
    "text", ['[components.domains.x]\nsecret = "plain"', '[archive]\nurl = "postgresql+psycopg://w:plain@db/archive"']
)
def test_a_configuration_with_a_password_in_it_is_a_secret_itself(directory: Path, text: str) -> None:
    file = a_configuration(directory, text, 0o644)

    assert ([], [str(file)]) == told(file)


def test_a_configuration_without_one_may_be_read_by_all_and_written_by_nobody_else(directory: Path) -> None:
    file = a_configuration(directory, "", 0o644)

    assert ([], []) == told(file)
    file.chmod(0o666)
    assert ([str(file)], []) == told(file)


def test_where_modes_mean_nothing_a_fault_is_a_warning(directory: Path) -> None:
    file = a_configuration(directory, "strict_file_modes = false", 0o666)

    assert ([], [str(file)]) == told(file)


def test_config_check_and_a_start_say_it_and_a_fault_starts_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = a_file(directory, "secret", 0o644)
    file = a_configuration(directory, f'[components.domains.x]\nsecret = "file:{secret}"')

    checked = CliRunner().invoke(config_command, ["check", str(file)])
    secret.chmod(0o666)
    refused = CliRunner().invoke(config_command, ["check", str(file)])

    assert "everybody on this machine may read it (mode 0644)" in checked.output
    assert "everybody on this machine may write it (mode 0666)" in refused.output
    assert "s3cret" not in checked.output + refused.output
    with pytest.raises(ConfigError, match="may write it"):
        configuration.begin([file])


def test_no_setting_that_names_a_private_key_or_a_password_was_forgotten() -> None:
    names = re.compile(r"(^key|key_file|_account_file|password_file|secret_file|certificate_file|^certificate)$")
    forgotten: list[str] = []
    for section, of in configuration.sections().items():
        rows = [declared(field).row for field in dataclasses.fields(of)]
        for each in (of, *(row for row in rows if row is not None)):
            fields = [field for field in dataclasses.fields(each) if names.search(field.name)]
            forgotten += [f"{section}.{field.name}" for field in fields if not declared(field).private]

    assert [] == forgotten
    assert declared(next(f for f in dataclasses.fields(TlsSettings) if f.name == "key")).private


def test_what_the_server_makes_is_its_owners_alone(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        server = EmbeddedServer(tmp_path / "data")
        server.start()
        server.stop()
        self_signed(tmp_path / "data", ["localhost"])
    finally:
        os.umask(former)

    for directory in ("redis", "tls"):
        assert 0o700 == (tmp_path / "data" / directory).stat().st_mode & 0o777
    assert 0o600 == (tmp_path / "data/tls/self-signed.key").stat().st_mode & 0o777
