"""TLS as this server speaks it (RFC 6120 §5 and §13.8, RFC 7590, XEP-0368): settings and contexts."""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.settings import ConfigError, setting
from gateway.transports.channel_binding import Exporter, find_exporter
from gateway.transports.groups import restrict
from gateway.transports.self_signed import self_signed

ALPN = "xmpp-client"
"""XEP-0368 §2: what a client may say in direct TLS. One that says nothing is as welcome."""

_TLS_1_2_CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
"""RFC 9325 §4.2, Mozilla's intermediate profile: forward secrecy and authenticated encryption only, as all of TLS 1.3
has it. Without the profile's DHE: whoever knows no elliptic curves is too old for XMPP, too."""


@dataclass(frozen=True)
class TlsSettings:
    """[tls] The server's certificate."""

    certificate: str = setting(
        "",
        private=True,
        help='PEM file with the certificate and its chain. "" = a self-signed one is made in data_dir.',
    )
    key: str = setting(
        "", private=True, help='PEM file with the private key. "" = it is in the file of the certificate.'
    )
    required: bool = setting(
        True, help="Clients must use TLS. false: loopback benchmarks and tests only; then SASL PLAIN works without TLS."
    )

    def file_faults(self) -> Iterator[str]:
        """A certificate or key that cannot be read, or do not belong together."""
        try:
            if self.certificate or self.key:
                _configured(self)
        except ConfigError as error:
            yield from (fault.removeprefix("tls.") for fault in error.faults)


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What was agreed in a handshake. `bindings` are the channel bindings (RFC 5056) by type."""

    version: str
    cipher: str
    bindings: Mapping[str, bytes] = field(repr=False)


class ServerContext(ssl.SSLContext):
    """A context for the server's side that knows its own certificate, which channel binding needs."""

    certificate_der: bytes = b""
    exporter: Exporter | None = None


def context_for(settings: TlsSettings, *, data_dir: Path, domains: list[str]) -> ServerContext:
    """The server's context as configured, with a self-signed certificate if none is. Raises ConfigError."""
    if settings.certificate or settings.key:
        return _configured(settings)
    return server_context(*self_signed(data_dir, domains))


def _configured(settings: TlsSettings) -> ServerContext:
    if not settings.certificate:
        raise ConfigError("tls.key: there is a key but no tls.certificate to go with it")
    certificate = Path(settings.certificate)
    return server_context(certificate, Path(settings.key) if settings.key else certificate)


def server_context(certificate: Path, key: Path) -> ServerContext:
    """Mozilla's intermediate profile: TLS 1.2 and later, ciphers with forward secrecy, the client's favourite among
    them. Raises ConfigError.

    Unlike the profile it gives session tickets, as phones reconnect all day. Their key is in this process's memory
    alone, and gone with it; at another process the client falls back to a full handshake.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE  # a phone without AES in hardware likes ChaCha20 better
    restrict(context)
    context.set_alpn_protocols([ALPN])
    context.certificate_der = _load(context, certificate, key)
    context.exporter = find_exporter(certificate, key)
    return context


def client_context(trusted: Path | None = None) -> ssl.SSLContext:
    """For the demo's clients: verifies the server by the certificate in `trusted`, or by the system's authorities."""
    context = ssl.create_default_context(cafile=trusted)
    _harden(context)
    context.set_alpn_protocols([ALPN])
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS_1_2_CIPHERS)
    # RFC 7590 §3.1 for compression. Renegotiation would let a client make the server work, and let a write wait for a
    # read.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> bytes:
    """Load both into `context` and return the certificate's DER. Every fault says which file to look at."""
    for setting_name, file in (("certificate", certificate), ("key", key)):
        try:
            file.read_bytes()
        except OSError as exc:
            raise ConfigError(f"tls.{setting_name}: cannot read {file}: {exc.strerror}") from exc
    try:
        der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    except ValueError as exc:
        raise ConfigError(f"tls.certificate: {certificate} holds no PEM certificate") from exc
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"tls.key: {key} is not the key of the certificate in {certificate}") from exc
        raise ConfigError(f"tls.key: {key} holds no PEM key that can be used: {exc.reason or exc}") from exc
    return der


def _no_password(*_: Any) -> str:
    """Without this OpenSSL would ask for the password of an encrypted key on the terminal."""
    return ""
