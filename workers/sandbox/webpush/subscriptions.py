"""Subscriptions, each with the browser that made it: its keys never leave here, its endpoint and public key do."""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.errors import WakegateError
from workers.sandbox.webpush.decryption import BrowserKeys

PATH = "/push/"
MOST = 100_000
NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")


class BadSubscription(WakegateError):
    """A subscription that cannot be made; the text says why."""

    metric = "sandbox_bad_subscription"


@dataclass(frozen=True)
class Subscription:
    """`application_server_key` is whose pushes alone are taken, "" for anybody's (RFC 8292, section 4)."""

    endpoint: str
    keys: BrowserKeys
    application_server_key: str = ""

    def as_json(self) -> dict[str, Any]:
        """As a browser tells it to its app (W3C Push API, `PushSubscription.toJSON`)."""
        return {
            "endpoint": self.endpoint,
            "expirationTime": None,
            "keys": {"p256dh": _text(self.keys.point), "auth": _text(self.keys.secret)},
        }


class Subscriptions:
    """All of them, by endpoint. `base_url` is where the push service listens."""

    def __init__(self) -> None:
        self.base_url = ""
        self._subscriptions: dict[str, Subscription] = {}

    def add(self, name: str = "", application_server_key: str = "") -> Subscription:
        """Subscribe, under this name or one that nobody can guess. Raises BadSubscription."""
        name = name or secrets.token_urlsafe(24)
        if not NAME.fullmatch(name):
            raise BadSubscription("the name of a subscription has 1 to 200 letters, digits, - and _")
        key = application_server_key.rstrip("=")
        if key and len(_bytes(key)) != 65:
            raise BadSubscription("application_server_key is an uncompressed P-256 point in base64url")
        if len(self._subscriptions) >= MOST:
            raise BadSubscription(f"there are {MOST} subscriptions already; forget some")
        private = ec.generate_private_key(ec.SECP256R1())
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = BrowserKeys(private, point, secrets.token_bytes(16))
        subscription = Subscription(self.endpoint(name), keys, key)
        self._subscriptions[subscription.endpoint] = subscription
        return subscription

    def endpoint(self, name: str) -> str:
        """The URL of the subscription of this name; what is a URL already stays as it is."""
        return name if "://" in name else f"{self.base_url}{PATH}{name}"

    def find(self, endpoint: str) -> Subscription | None:
        """The subscription with this endpoint."""
        return self._subscriptions.get(endpoint)

    def forget(self) -> None:
        """Forget all."""
        self._subscriptions.clear()

    def listing(self) -> list[dict[str, Any]]:
        """All of them as JSON values."""
        return [subscription.as_json() for subscription in self._subscriptions.values()]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
