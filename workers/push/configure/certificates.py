"""What a push certificate of Apple's says about itself: until when, for which apps, for which environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from workers.push.credential import CredentialError

# Apple's certificate extensions.
TOPICS: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.3.6")
ENVIRONMENTS: Final = {
    "sandbox": x509.ObjectIdentifier("1.2.840.113635.100.6.3.1"),
    "production": x509.ObjectIdentifier("1.2.840.113635.100.6.3.2"),
}

_SEQUENCE: Final = 0x30
_UTF8: Final = 0x0C


@dataclass(frozen=True)
class PushCertificate:
    """`topics`: the bundle IDs it is for, with what stands in the extension for several; `environments`: of Apple."""

    topics: tuple[str, ...]
    environments: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime

    def fits(self, topic: str) -> bool:
        """Is it for this topic, or for the app whose topics begin so?"""
        return any(topic == known or topic.startswith(f"{known}.") for known in self.topics)


def read(file: str) -> PushCertificate:
    """The first certificate of a PEM file. Raises CredentialError."""
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise CredentialError(f"{file}: cannot be read: {error.strerror or error}") from error
    if content[:1] == b"\x30":
        raise CredentialError(f"{file}: is a PKCS #12 or DER file, not PEM")
    try:
        certificate = x509.load_pem_x509_certificate(content)
    except ValueError as error:
        raise CredentialError(f"{file}: does not hold a certificate and its private key in PEM form") from error
    return of(certificate)


def of(certificate: x509.Certificate) -> PushCertificate:
    """The same of a certificate at hand."""
    found = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.USER_ID)]
    held = {extension.oid: extension.value for extension in certificate.extensions}
    listed = held.get(TOPICS)
    if isinstance(listed, x509.UnrecognizedExtension):
        found += _listed(listed.value)
    return PushCertificate(
        tuple(dict.fromkeys(found)),
        tuple(name for name, oid in ENVIRONMENTS.items() if oid in held),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _listed(der: bytes) -> list[str]:
    """The topics of the extension: SEQUENCE { UTF8String topic, SEQUENCE { UTF8String kind, ... }, ... }."""
    return [
        text.decode("utf-8", "replace")
        for tag, content in _elements(der)
        if tag == _SEQUENCE
        for inner, text in _elements(content)
        if inner == _UTF8
    ]


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of one element after the other (X.690, definite lengths); ends at what it cannot read."""
    at = 0
    while at + 2 <= len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        if at + length > len(der):
            return
        yield tag, der[at : at + length]
        at += length
