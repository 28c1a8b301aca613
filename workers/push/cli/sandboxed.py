"""What an app at the local push sandbox is configured with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from workers.push.settings import APNS, FCM, WEBPUSH
from workers.sandbox.material import KEY_ID, TEAM_ID, TOPIC, Material


def values_for(provider: str, data_dir: Path) -> dict[str, Any]:
    """Settings that `wakegate sandbox --data-dir DATA_DIR` made true. Raises ClickException if it never ran there."""
    material = Material(data_dir / "sandbox")
    try:
        addresses = json.loads(material.addresses_file.read_bytes())
    except (OSError, ValueError):
        raise click.ClickException(
            f"{material.addresses_file} cannot be read: start `wakegate sandbox --data-dir {data_dir}` first"
        ) from None
    makers = {APNS: _apns, FCM: _fcm, WEBPUSH: _webpush}
    if provider not in makers:
        raise click.UsageError(f"--sandbox needs --provider, one of {', '.join(makers)}")
    return makers[provider](material, addresses)


def _apns(material: Material, addresses: dict[str, str]) -> dict[str, Any]:
    return {
        "topic": TOPIC,
        "team_id": TEAM_ID,
        "key_id": KEY_ID,
        "key_file": str(material.apns_key_file),
        "endpoint": addresses["apns_endpoint"],
        "sandbox_endpoint": addresses["apns_development_endpoint"],
        "ca_file": str(material.ca_file),
    }


def _fcm(material: Material, addresses: dict[str, str]) -> dict[str, Any]:
    return {"service_account_file": str(material.service_account_file), "endpoint": addresses["fcm_endpoint"]}


def _webpush(material: Material, _addresses: dict[str, str]) -> dict[str, Any]:
    return {
        "vapid_key_file": str(material.vapid_key_file),
        "vapid_subject": "mailto:sandbox@example.org",
        "ca_file": str(material.ca_file),
        "allow_private": True,
    }
