"""What the push tests are made of."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from gateway.mailbox.pushes import Registration
from workers.push.notification import Push
from workers.push.providers.webpush.keys import public_key
from workers.push.settings import AppSettings
from workers.sandbox.material import KEY_ID, TEAM_ID, TOPIC
from workers.sandbox.server import Sandbox
from workers.sandbox.webpush.subscriptions import Subscription

DEVICE = "ab" * 32


def a_push(**fields: Any) -> Push:
    """A push that nothing is wrong with, but for what is given."""
    values: dict[str, Any] = {
        "app": "chat",
        "token": DEVICE,
        "push_id": str(uuid.uuid4()),
        "expires_at": time.time() + 3600,
        "count": 1,
    }
    return Push(**{**values, **fields})


def an_iphone_app(sandbox: Sandbox, **fields: Any) -> AppSettings:
    """[push.apps.NAME] for APNs at the sandbox."""
    values: dict[str, Any] = {
        "provider": "apns",
        "topic": TOPIC,
        "team_id": TEAM_ID,
        "key_id": KEY_ID,
        "key_file": sandbox.addresses["apns_key_file"],
        "endpoint": sandbox.addresses["apns_endpoint"],
        "sandbox_endpoint": sandbox.addresses["apns_development_endpoint"],
        "ca_file": sandbox.addresses["ca_file"],
    }
    return AppSettings(**{**values, **fields})


def an_android_app(sandbox: Sandbox, **fields: Any) -> AppSettings:
    """[push.apps.NAME] for FCM at the sandbox."""
    values: dict[str, Any] = {
        "provider": "fcm",
        "service_account_file": sandbox.addresses["service_account_file"],
        "endpoint": sandbox.addresses["fcm_endpoint"],
    }
    return AppSettings(**{**values, **fields})


def a_browser_app(sandbox: Sandbox, **fields: Any) -> AppSettings:
    """[push.apps.NAME] for Web Push, whose devices subscribed at the sandbox."""
    values: dict[str, Any] = {
        "provider": "webpush",
        "vapid_key_file": sandbox.addresses["vapid_key_file"],
        "vapid_subject": "mailto:admin@example.org",
        "ca_file": sandbox.addresses["ca_file"],
        "allow_private": True,
    }
    return AppSettings(**{**values, **fields})


def a_web_push(sandbox: Sandbox, name: str = "", **fields: Any) -> Push:
    """A push for a browser that has just subscribed, under this name."""
    subscription = sandbox.subscribe(name, application_server_key=public_key(sandbox.addresses["vapid_key_file"]))
    return a_push(**{"token": subscription.endpoint, "registration": a_subscriber(subscription), **fields})


def a_subscriber(subscription: Subscription, **fields: Any) -> Registration:
    """What a browser registers."""
    said = subscription.as_json()
    values: dict[str, Any] = {
        "service": "push.example.com",
        "node": "n1",
        "sid": "",
        "resource": "browser",
        "app": "chat",
        "token": said["endpoint"],
        **said["keys"],
    }
    return Registration(**{**values, **fields})


def a_file(directory: Path, name: str, content: bytes) -> str:
    """A file with this content; answers its path."""
    path = directory / name
    path.write_bytes(content)
    return str(path)
