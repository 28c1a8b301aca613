"""How a browser reads a push message: RFC 8188 and RFC 8291 from the receiver's side.

On `hmac` and AES alone: the push worker has its own way to the same keys, so that a mistake in one of them shows here.
"""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from workers.sandbox.webpush.errors import WebPushRefusal

HEADER = 21
TAG = 16
POINT = 65
LEAST_RECORD = 17
"""Nothing but the delimiter and the authentication tag."""


@dataclass(frozen=True)
class BrowserKeys:
    """A user agent's key pair and authentication secret (RFC 8291, sections 3.1, 3.2). `point` is the public half."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)
    point: bytes
    secret: bytes = field(repr=False)


def decrypt(body: bytes, keys: BrowserKeys) -> bytes:
    """The plain text of a message of one record. Raises WebPushRefusal."""
    salt, record_size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20] if len(body) > 20 else 0
    sender, record = body[HEADER : HEADER + length], body[HEADER + length :]
    if len(body) < HEADER + length + LEAST_RECORD or record_size <= LEAST_RECORD:
        raise WebPushRefusal("Undecryptable", "shorter than the header and a record of RFC 8188 section 2")
    if length != POINT:
        raise WebPushRefusal("Undecryptable", "keyid is the sender's public key, 65 bytes (RFC 8291 section 4)")
    if len(record) > record_size:
        raise WebPushRefusal("Undecryptable", "a push message has one record (RFC 8291 section 4)")
    content_key, nonce = _keys(salt, sender, keys)
    try:
        plain = AESGCM(content_key).decrypt(nonce, record, None)
    except InvalidTag as error:
        raise WebPushRefusal("Undecryptable", "it was not encrypted for the keys of this subscription") from error
    text = plain.rstrip(b"\0")
    if not text.endswith(b"\x02"):
        raise WebPushRefusal("Undecryptable", "the delimiter of the last record is 2 (RFC 8188 section 2)")
    return text[:-1]


def _keys(salt: bytes, sender: bytes, keys: BrowserKeys) -> tuple[bytes, bytes]:
    """Content encryption key and nonce (RFC 8291 section 3.4)."""
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
    except ValueError as error:
        raise WebPushRefusal("Undecryptable", "keyid is no point on P-256") from error
    combined = _hmac(keys.secret, keys.private.exchange(ec.ECDH(), public))
    material = _hmac(combined, b"WebPush: info\0" + keys.point + sender + b"\1")
    pseudo_random = _hmac(salt, material)
    content_key = _hmac(pseudo_random, b"Content-Encoding: aes128gcm\0\1")[:16]
    return content_key, _hmac(pseudo_random, b"Content-Encoding: nonce\0\1")[:12]


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, sha256)
