"""A bare Web Push client: it sends exactly what a test wants, encrypted and signed by libraries that are not ours."""

import base64
import http.client
import json
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.sandbox.clients import TIMEOUT_S
from workers.sandbox.server import Sandbox
from workers.sandbox.webpush.subscriptions import Subscription

PAYLOAD = b'{"kind": "wake"}'


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def the_key(sandbox: Sandbox) -> ec.EllipticCurvePrivateKey:
    """The application server's key that the sandbox made."""
    key = load_pem_private_key(sandbox.material.vapid_key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def public_text(key: ec.EllipticCurvePrivateKey) -> str:
    return base64url(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def vapid(sandbox: Sandbox, *, key: Any = None, signer: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
    """An Authorization field, right but for what is given; a claim that is None is left out."""
    key = key or the_key(sandbox)
    said = {
        "aud": sandbox.addresses["webpush_endpoint"],
        "exp": int(time.time()) + 3600,
        "sub": "mailto:admin@example.org",
    } | claims
    token = jwt.encode({k: v for k, v in said.items() if v is not None}, signer or key, algorithm=algorithm)
    return f"vapid t={token}, k={public_text(key)}"


def encrypted(subscription: Subscription, plain: bytes = PAYLOAD, **options: Any) -> bytes:
    keys = subscription.as_json()["keys"]
    point, secret = (base64.urlsafe_b64decode(keys[name] + "==") for name in ("p256dh", "auth"))
    sender = ec.generate_private_key(ec.SECP256R1())
    body: bytes = http_ece.encrypt(plain, private_key=sender, dh=point, auth_secret=secret, **options)
    return body


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def reason(self) -> str:
        return str(json.loads(self.body)["reason"]) if self.body else ""


def send(
    sandbox: Sandbox,
    subscription: Subscription,
    body: bytes | None = None,
    *,
    authorization: str | None = "",
    method: str = "POST",
    endpoint: str = "",
    **headers: str | None,
) -> Answer:
    """A right push message, changed: `urgency="x"` sets a header, None leaves one out."""
    body = encrypted(subscription) if body is None else body
    fields: dict[str, str | None] = {
        "TTL": "60",
        "Content-Encoding": "aes128gcm" if body else None,
        "Authorization": vapid(sandbox) if authorization == "" else authorization,
    }
    fields |= {name.replace("_", "-").title().replace("Ttl", "TTL"): value for name, value in headers.items()}
    parts = urlsplit(endpoint or subscription.endpoint)
    assert parts.hostname is not None
    context = ssl.create_default_context(cafile=str(sandbox.material.ca_file))
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, context=context)
    try:
        present = {name: value for name, value in fields.items() if value is not None}
        connection.request(method, parts.path, body, present)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()
