"""What [limits] may say."""

from pathlib import Path

import pytest

from gateway.sections import LimitSettings
from gateway.settings import ConfigError, load


def faults(text: str, directory: Path) -> list[str]:
    file = directory / "c.toml"
    file.write_text(f"[limits]\n{text}\n")
    try:
        load({"limits": LimitSettings}, files=[file])
    except ConfigError as error:
        return list(error.faults)
    return []


@pytest.mark.parametrize(
    "text",
    [
        "connection_stanzas = []",
        "connection_stanzas = [100, 1]",
        'unlimited_addresses = []\nshared_addresses = ["2001:db8::/32", "192.0.2.1"]',
        'unlimited_jids = ["bot@example.com"]',
        'see_other_host = "two.example:5222"',
    ],
)
def test_limits_may_be_switched_off_and_moved(text: str, tmp_path: Path) -> None:
    assert [] == faults(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("connection_stanzas = [100]", "limits.connection_stanzas: two numbers from 1 on are needed"),
        ("account_failed_logins = [0, 10]", "limits.account_failed_logins: two numbers from 1 on are needed"),
        ("address_bytes = [1, 2, 3]", "limits.address_bytes: at most 2 items, got 3"),
        ('unlimited_addresses = ["localhost"]', 'limits.unlimited_addresses: "localhost" is no address or network'),
        ('shared_addresses = ["10.0.0.1/8"]', 'limits.shared_addresses: "10.0.0.1/8" is no address or network'),
        ('see_other_host = "two.example"', 'limits.see_other_host: "two.example": "host:port" is needed'),
    ],
)
def test_what_cannot_be_meant_is_a_fault(text: str, says: str, tmp_path: Path) -> None:
    (fault,) = faults(text, tmp_path)

    assert fault.startswith(says)
