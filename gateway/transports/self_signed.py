"""A certificate for a server that was given none: for development, demo and tests, and for a first try at home."""

import contextlib
import datetime
import fcntl
import ipaddress
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.settings import ConfigError

_VALID = datetime.timedelta(days=397)
_RENEW_BEFORE = datetime.timedelta(days=30)


def self_signed(data_dir: Path, domains: Iterable[str]) -> tuple[Path, Path]:
    """The files of a self-signed certificate for `domains` and of its key, below `data_dir`: (certificate, key).

    Made once; made anew when the domains change, less than 30 days are left, or a file is damaged. Processes that
    start at the same time wait for each other and use the same one. Raises ConfigError if `data_dir` cannot be
    written to.
    """
    directory = data_dir / "tls"
    certificate, key = directory / "self-signed.crt", directory / "self-signed.key"
    names = list(domains)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory / "lock"):
            if not _is_fit(certificate, key, names):
                _make(certificate, key, names)
    except OSError as exc:
        raise ConfigError(f"server.data_dir: cannot keep a certificate in {directory}: {exc.strerror}") from exc
    return certificate, key


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held for milliseconds, at the start of a process only
        yield


def _is_fit(certificate: Path, key: Path, domains: list[str]) -> bool:
    try:
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = load_pem_private_key(key.read_bytes(), None)
        names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    left = known.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    is_pair = _public_bytes(known.public_key()) == _public_bytes(private.public_key())
    return is_pair and left > _RENEW_BEFORE and list(names) == _names(domains)


def _public_bytes(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _make(certificate: Path, key: Path, domains: list[str]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signed = _signed(private, domains).public_bytes(Encoding.PEM)
    _replace(key, pem)
    _replace(certificate, signed)


def _signed(private: ec.EllipticCurvePrivateKey, domains: list[str]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Wakegate, self-signed")])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    public = private.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # for clients whose clocks are a little slow
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName(_names(domains)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )


def _names(domains: list[str]) -> list[x509.GeneralName]:
    """RFC 6125: domains as DNS names in their ASCII form, addresses as addresses."""
    return [_name(domain) for domain in domains]


def _name(domain: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(domain.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(domain.encode("idna").decode())
    except ValueError as exc:
        raise ConfigError(f"server.domains: {domain!r} is not a domain name: {exc}") from exc


def _replace(file: Path, content: bytes) -> None:
    """Write atomically, for the owner's eyes only (mkstemp makes files with mode 0600)."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    Path(temporary).replace(file)
