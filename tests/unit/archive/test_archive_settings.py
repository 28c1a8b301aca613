"""[archive]: what can be set, and what is found wrong before a start."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.archive.settings import ArchiveSettings
from gateway.settings import ConfigError, Secret, load


def faults(**values: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load({"archive": ArchiveSettings}, overrides={f"archive.{name}": value for name, value in values.items()})
    return caught.value.faults


def test_sqlite_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    assert f"sqlite:///{tmp_path}/archive.sqlite3" == ArchiveSettings().address(tmp_path)


@pytest.mark.parametrize("password", ["secret", "p@ss/w:rd %20", ""])
def test_the_password_is_put_into_the_address(password: str) -> None:
    settings = ArchiveSettings(
        url="postgresql+psycopg://me@db.example.org:5433/chat?sslmode=require", password=Secret(password)
    )
    url = sa.make_url(settings.address(Path()))

    assert ("me", password or None, "db.example.org", 5433) == (url.username, url.password, url.host, url.port)
    assert "require" == url.query["sslmode"]


@pytest.mark.parametrize("url", ["mysql://x", "postgresql://me@db/x", "sqlite3", "", "archive.db"])
def test_other_databases_are_refused_at_the_start(url: str) -> None:
    assert any(fault.startswith("archive.url:") for fault in faults(url=url))


def test_a_default_page_larger_than_the_largest_is_refused() -> None:
    assert any("default_page" in fault for fault in faults(default_page=300))


def test_the_reference_shows_no_password() -> None:
    settings = ArchiveSettings(password=Secret("hidden!"))

    assert "hidden!" not in repr(settings)
