"""What `wakegate up --demo` adds: two accounts, and two apps whose pushes go to the sandbox."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.errors import WakegateError
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.journal import Journal
from gateway.xmpp.sasl.credentials import derive

NAMES: Final = ("romeo", "juliet")


class DemoError(WakegateError):
    """The demo's files cannot be read or written."""

    metric = "demo"


def demo_passwords(data_dir: Path, domain: str) -> dict[str, str]:
    """Bare JID -> password, made at random once and kept in `<data_dir>/demo/accounts.json`. Raises DemoError."""
    file = data_dir / "demo" / "accounts.json"
    wanted = [f"{name}@{domain}" for name in NAMES]
    try:
        known: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if not all(isinstance(known.get(user), str) for user in wanted):
            known = {user: secrets.token_urlsafe(9) for user in wanted}
            _write_private(file, json.dumps(known, indent=2) + "\n")
    except (OSError, ValueError) as error:
        raise DemoError(f"{file}: {error}; remove it to have new passwords made") from error
    return {user: known[user] for user in wanted}


def make_accounts(journal: Journal, passwords: Mapping[str, str]) -> None:
    """Make the accounts, or set their passwords if they exist. Raises StoreError."""
    accounts = Accounts(journal)
    for user, password in passwords.items():
        fields = derive(password, salt=os.urandom(16)).to_fields()
        if not accounts.create(user, fields):
            accounts.set_credentials(user, fields)


def write_overlay(data_dir: Path) -> Path:
    """A configuration with the apps `demo-ios` and `demo-android` at the running sandbox. Raises DemoError."""
    source = data_dir / "sandbox" / "addresses.json"
    try:
        overlay = _overlay(json.loads(source.read_text(encoding="utf-8")))
        file = data_dir / "demo" / "wakegate.toml"
        _write_private(file, overlay)
    except (OSError, ValueError, KeyError) as error:
        raise DemoError(f"{source}: not as the sandbox writes it: {error!r}") from error
    return file.absolute()


def _overlay(addresses: Mapping[str, Any]) -> str:
    ios = {
        "provider": "apns",
        "topic": "org.example.demo",
        "team_id": "TEAM123456",
        "key_id": "KEY1234567",
        "key_file": addresses["apns_key_file"],
        "environment": "production",
        "endpoint": addresses["apns_endpoint"],
        "sandbox_endpoint": addresses["apns_development_endpoint"],
        "ca_file": addresses["ca_file"],
    }
    android = {
        "provider": "fcm",
        "service_account_file": addresses["service_account_file"],
        "endpoint": addresses["fcm_endpoint"],
    }
    lines = ["# Written by `wakegate up --demo` at each start: push apps at the local sandbox."]
    for name, app in (("demo-ios", ios), ("demo-android", android)):
        # A JSON string is a TOML string.
        lines += ["", f"[push.apps.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in app.items())]
    return "\n".join(lines) + "\n"


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    new.replace(file)
