"""The P-256 key that signs for an app (VAPID, RFC 8292), and its public half, with which clients subscribe.

A key is for life: every subscription is bound to it, and a new one makes all of them useless.
"""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from workers.push.credential import CredentialError


def new_key(path: Path) -> str:
    """Make a key and write it to a file that only its owner may read (PEM, PKCS #8); answers the public half.

    Raises CredentialError if the file cannot be written, or is there already: a key that is in use must not be lost.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(pem)
    except FileExistsError as error:
        raise CredentialError(f"{path}: is there already; every subscription is bound to the key in it") from error
    except OSError as error:
        raise CredentialError(f"{path}: cannot be written: {error.strerror or error}") from error
    return public_text(key)


def public_key(file: str | Path) -> str:
    """The public half of a key file as browsers take it for `applicationServerKey`: the uncompressed point, base64url
    without padding (RFC 8292, section 3.2). Raises CredentialError.
    """
    return public_text(load_key(file))


def load_key(file: str | Path) -> ec.EllipticCurvePrivateKey:
    """Read a key file (PEM). Raises CredentialError."""
    try:
        key = load_pem_private_key(Path(file).read_bytes(), password=None)
    except OSError as error:
        raise CredentialError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CredentialError(f"{file}: is not a private key in PEM form without a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError(f"{file}: is not an EC P-256 key, which VAPID needs for ES256")
    return key


def public_text(key: ec.EllipticCurvePrivateKey) -> str:
    """The public half of a key, as `public_key` has it."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode("ascii")
