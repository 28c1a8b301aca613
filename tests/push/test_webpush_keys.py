"""VAPID keys in files."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from workers.push.credential import CredentialError
from workers.push.providers.webpush.keys import new_key, public_key


def test_a_new_key_is_written_for_its_owner_only_and_its_public_half_is_a_point_in_base64url(tmp_path: Path) -> None:
    file = tmp_path / "vapid.pem"
    public = new_key(file)
    point = base64.urlsafe_b64decode(public + "=")

    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert (65, 4) == (len(point), point[0])
    assert public == public_key(file)


def test_a_key_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "vapid.pem"
    public = new_key(file)
    with pytest.raises(CredentialError, match="is there already"):
        new_key(file)

    assert public == public_key(file)


def test_a_key_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="cannot be written: No such file"):
        new_key(tmp_path / "nowhere" / "vapid.pem")


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        (b"", "is not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is not a private key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "is not an EC P-256 key"),
    ],
    ids=["none", "empty", "junk", "another curve"],
)
def test_a_file_that_holds_no_such_key_is_said_so(tmp_path: Path, content: bytes | None, fault: str) -> None:
    file = tmp_path / "vapid.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CredentialError, match=fault):
        public_key(file)
