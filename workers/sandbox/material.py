"""The sandbox's keys, certificates and credential files: made once in `<data_dir>/sandbox`, reused afterwards."""

import datetime
import ipaddress
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import WakegateError

TEAM_ID = "TEAM123456"
KEY_ID = "KEY1234567"
TOPIC = "org.example.chat"
PROJECT_ID = "wakegate-demo"
CLIENT_EMAIL = f"sandbox@{PROJECT_ID}.iam.gserviceaccount.com"

# Apple's certificate extensions that say which environment a push certificate is good for.
OID_DEVELOPMENT = x509.ObjectIdentifier("1.2.840.113635.100.6.3.1")
OID_PRODUCTION = x509.ObjectIdentifier("1.2.840.113635.100.6.3.2")

_LIFETIME = datetime.timedelta(days=3650)
_ASN1_NULL = b"\x05\x00"


class BadMaterial(WakegateError):
    """A file of the sandbox's directory cannot be read; removing the directory makes a new one at the next start."""

    metric = "sandbox_bad_material"


@dataclass(frozen=True)
class Material:
    """Where the sandbox's files are. All of them belong to local tests and are worth nothing elsewhere."""

    directory: Path

    @property
    def ca_file(self) -> Path:
        """The CA that a client has to trust, PEM."""
        return self.directory / "ca.pem"

    @property
    def server_file(self) -> Path:
        """The APNs listeners' certificate and key, PEM, for localhost, 127.0.0.1 and ::1."""
        return self.directory / "server.pem"

    @property
    def apns_key_file(self) -> Path:
        """The provider's ES256 key as Apple hands it out: PKCS #8, PEM; team TEAM_ID, key id KEY_ID."""
        return self.directory / "AuthKey.p8"

    @property
    def client_file(self) -> Path:
        """A push certificate with its key for certificate mode, PEM; its topic is TOPIC."""
        return self.directory / "client.pem"

    @property
    def service_account_file(self) -> Path:
        """A service account as Google hands it out; its token_uri is this sandbox's."""
        return self.directory / "service-account.json"

    @property
    def vapid_key_file(self) -> Path:
        """An application server's ES256 key for Web Push: PKCS #8, PEM."""
        return self.directory / "vapid.pem"

    @property
    def addresses_file(self) -> Path:
        """Where the running sandbox listens, JSON."""
        return self.directory / "addresses.json"

    def apns_public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half of the provider's key. Raises BadMaterial."""
        return read_es256_key(self.apns_key_file.read_bytes())

    def service_account(self) -> dict[str, Any]:
        """The service account's fields. Raises BadMaterial."""
        try:
            fields = json.loads(self.service_account_file.read_bytes())
        except ValueError as error:
            raise BadMaterial(
                f"{self.service_account_file}: not JSON; remove {self.directory} and start again"
            ) from error
        if not isinstance(fields, dict):
            raise BadMaterial(
                f"{self.service_account_file}: not a JSON object; remove {self.directory} and start again"
            )
        return fields

    def point_service_account_to(self, token_uri: str) -> None:
        """Rewrite the service account's token_uri, as the port may be another at each start."""
        write_json(self.service_account_file, {**self.service_account(), "token_uri": token_uri})


def prepare(data_dir: Path) -> Material:
    """The material under `<data_dir>/sandbox`, made if a file is missing. Raises OSError if it cannot be written."""
    material = Material(data_dir / "sandbox")
    made_once = (
        material.ca_file,
        material.server_file,
        material.apns_key_file,
        material.client_file,
        material.service_account_file,
    )
    if not all(path.exists() for path in made_once):
        _make(material)
    if not material.vapid_key_file.exists():
        _write(material.vapid_key_file, _pem(ec.generate_private_key(ec.SECP256R1())))
    return material


def read_es256_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """The P-256 public key of a PEM public or private key. Raises BadMaterial."""
    try:
        if b"PUBLIC KEY" in pem:
            key = serialization.load_pem_public_key(pem)
        else:
            key = serialization.load_pem_private_key(pem, None).public_key()
    except (ValueError, TypeError) as error:
        raise BadMaterial("not a PEM key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadMaterial("not a P-256 key")
    return key


def read_rs256_key(pem: str) -> rsa.RSAPublicKey:
    """The public key of a PEM RSA private key. Raises BadMaterial."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), None).public_key()
    except (ValueError, TypeError) as error:
        raise BadMaterial("not a PEM private key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise BadMaterial("not an RSA key")
    return key


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file that a reader sees whole or not at all."""
    _write(path, json.dumps(value, indent=2).encode() + b"\n")


def _make(material: Material) -> None:
    material.directory.mkdir(parents=True, exist_ok=True)
    authority = _Authority()
    _write(material.server_file, authority.issue(_server_name(), _server_extensions()))
    _write(material.client_file, authority.issue(_client_name(), _client_extensions()))
    _write(material.apns_key_file, _pem(ec.generate_private_key(ec.SECP256R1())))
    write_json(material.service_account_file, _service_account())
    # Last: as long as it is missing, the next start makes everything again.
    _write(material.ca_file, authority.certificate.public_bytes(serialization.Encoding.PEM))


def _service_account() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "type": "service_account",
        "project_id": PROJECT_ID,
        "private_key_id": secrets.token_hex(20),
        "private_key": _pem(key).decode(),
        "client_email": CLIENT_EMAIL,
        "client_id": "100000000000000000001",
        "token_uri": "",
        "universe_domain": "googleapis.com",
    }


class _Authority:
    """The sandbox's own CA. Its key is never written: a certificate is issued at the first start or not at all."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Wakegate push sandbox CA")])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        self.certificate = (
            self._builder(name, name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, subject: x509.Name, extensions: list[x509.ExtensionType]) -> bytes:
        """A certificate and its new key, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, self.certificate.subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM) + _pem(key)

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + _LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )


def _server_name() -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])


def _server_extensions() -> list[x509.ExtensionType]:
    addresses = (ipaddress.ip_address(text) for text in ("127.0.0.1", "::1"))
    return [
        x509.SubjectAlternativeName([x509.DNSName("localhost"), *map(x509.IPAddress, addresses)]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    ]


def _client_name() -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, TOPIC),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Apple Push Services: {TOPIC}"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, TEAM_ID),
        ]
    )


def _client_extensions() -> list[x509.ExtensionType]:
    return [
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
        x509.UnrecognizedExtension(OID_DEVELOPMENT, _ASN1_NULL),
        x509.UnrecognizedExtension(OID_PRODUCTION, _ASN1_NULL),
    ]


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.replace(path)
