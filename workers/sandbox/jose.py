"""RFC 7515 compact signatures as a verifier sees them, on `cryptography` alone.

The push worker signs with another library. If both sides used the same one, a mistake in it would go unnoticed here.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.errors import WakegateError

MAX_LENGTH = 8192


class BadToken(WakegateError):
    """The text is no RFC 7515 compact serialisation of a JSON header and JSON claims."""

    metric = "sandbox_bad_token"


@dataclass(frozen=True)
class Jws:
    """A signed token, taken apart but not yet believed."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def read_jws(text: str) -> Jws:
    """Take a compact token apart (RFC 7515 section 7.1). Raises BadToken."""
    parts = text.split(".")
    if len(parts) != 3 or len(text) > MAX_LENGTH:
        raise BadToken("a token has three parts separated by dots")
    try:
        header, claims = (json.loads(_unbase64(part)) for part in parts[:2])
        signature = _unbase64(parts[2])
    except ValueError as error:
        raise BadToken(f"a token's parts are base64url and JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise BadToken("header and claims are JSON objects")
    return Jws(header, claims, f"{parts[0]}.{parts[1]}".encode("ascii"), signature)


def is_signed_es256(token: Jws, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether the signature is ECDSA on P-256 with SHA-256 by `key` (RFC 7518 section 3.4: R and S, 32 bytes each)."""
    if token.header.get("alg") != "ES256" or len(token.signature) != 64:
        return False
    r, s = (int.from_bytes(half, "big") for half in (token.signature[:32], token.signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def is_signed_rs256(token: Jws, key: rsa.RSAPublicKey) -> bool:
    """Whether the signature is RSASSA-PKCS1-v1_5 with SHA-256 by `key` (RFC 7518 section 3.3)."""
    if token.header.get("alg") != "RS256":
        return False
    try:
        key.verify(token.signature, token.signed, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def numeric_date(claims: dict[str, Any], name: str) -> int | None:
    """A claim in Unix seconds, or None.

    COMPAT(kalyke-apns, 1.5): writes `iat` as a string of digits, which Apple takes.
    """
    value = claims.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) < 1e15 else None


def _unbase64(text: str) -> bytes:
    if not text.isascii():
        raise ValueError("not base64url")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
