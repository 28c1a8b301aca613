"""What the push service carries and cannot read: aes128gcm (RFC 8188) under keys agreed with the app (RFC 8291)."""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.errors import WakegateError

RECORD_SIZE: Final = 4096
"""All that a push service must take (RFC 8030, section 7.2), so there is one record and no more."""

SALT_BYTES: Final = 16
SECRET_BYTES: Final = 16
POINT_BYTES: Final = 65
_LAST_RECORD: Final = b"\x02"

PLAIN_LIMIT: Final = RECORD_SIZE - (SALT_BYTES + 4 + 1 + POINT_BYTES) - 16 - len(_LAST_RECORD)
"""3,993 bytes: less the header, the authentication tag and the delimiter (RFC 8291, section 4)."""


class KeysError(WakegateError):
    """What a client gave as the keys of its subscription are none."""

    metric = "webpush_keys"


@dataclass(frozen=True)
class DeviceKeys:
    """An app's public key and authentication secret (RFC 8291, sections 3.1, 3.2)."""

    point: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    public: ec.EllipticCurvePublicKey = field(repr=False)

    @classmethod
    def of(cls, p256dh: str, auth: str) -> DeviceKeys:
        """From base64url, padded or not. Raises KeysError."""
        point, secret = _bytes(p256dh), _bytes(auth)
        if len(point) != POINT_BYTES or len(secret) != SECRET_BYTES:
            raise KeysError("p256dh has 65 bytes and auth 16, in base64url")
        try:
            return cls(point, secret, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
        except ValueError:
            raise KeysError("p256dh is no point on P-256") from None


def encrypt(
    plain: bytes, keys: DeviceKeys, *, salt: bytes | None = None, key: ec.EllipticCurvePrivateKey | None = None
) -> bytes:
    """The body of a push message: `plain`, PLAIN_LIMIT bytes at most, as one record with its header.

    `salt` and `key` are random, and used once; a test may give those of the RFC's example.
    """
    if len(plain) > PLAIN_LIMIT:
        raise ValueError(f"{PLAIN_LIMIT} bytes fit one record, got {len(plain)}")
    salt = salt or os.urandom(SALT_BYTES)
    key = key or ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = key.exchange(ec.ECDH(), keys.public)
    material = _derived(shared, salt=keys.secret, info=b"WebPush: info\0" + keys.point + point, length=32)
    content_key = _derived(material, salt=salt, info=b"Content-Encoding: aes128gcm\0", length=16)
    nonce = _derived(material, salt=salt, info=b"Content-Encoding: nonce\0", length=12)
    header = salt + RECORD_SIZE.to_bytes(4, "big") + bytes([len(point)]) + point
    return header + AESGCM(content_key).encrypt(nonce, plain + _LAST_RECORD, None)


def _derived(material: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(material)


def _bytes(text: str) -> bytes:
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
