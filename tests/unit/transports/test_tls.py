"""Contexts, certificates and channel bindings, with real handshakes."""

import base64
import datetime
import hashlib
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from gateway.settings import ConfigError
from gateway.transports import channel_binding
from gateway.transports.channel_binding import channel_bindings, find_exporter, server_end_point
from gateway.transports.self_signed import self_signed
from gateway.transports.tls import TlsSettings, context_for, server_context
from tests.unit.transports.pairs import contexts, small_pair, take_tls

SHA1_SIGNED = base64.b64decode(
    "MIIBejCCASKgAwIBAgIUWoWuBlfjy3m2b7GofLmJRxTqEL4wCQYHKoZIzj0EATAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwHhcNMjYx"
    "MTIxMTEwNDAyWhcNMzYxMTE4MTEwNDAyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQL"
    "t6n5oZAcvblgm2Rgkld4fhTIcGbLHzjMOv5OSCQggHNr8MflAGkkC4xVBKQnSAPUf6yYGwPFk2AXR0y0zG6eo1MwUTAdBgNVHQ4E"
    "FgQU2MhDC023rzMtDYBvuirVCAGRH4MwHwYDVR0jBBgwFoAU2MhDC023rzMtDYBvuirVCAGRH4MwDwYDVR0TAQH/BAUwAwEB/zAJ"
    "BgcqhkjOPQQBA0cAMEQCIEtzhdP5BfjAYl4kaS67BzqrSq+xvnp7tnFiBE4xjltNAiA9Q0E0yu4LSfJ8EcGqF1qojsun2S3aPhew"
    "hoT+funnPw=="
)
"""A certificate that is signed with SHA-1, DER: today's libraries read such ones but make no more of them."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def a_certificate(key: Key, algorithm: hashes.HashAlgorithm | None, *, days: int = 90) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=days))
    alternatives = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    return builder.add_extension(alternatives, critical=False).sign(key, algorithm)  # type: ignore[arg-type]


def written(
    directory: Path, key: Key, certificate: x509.Certificate, encryption: KeySerializationEncryption | None = None
) -> tuple[Path, Path]:
    certificate_file, key_file = directory / "server.crt", directory / "server.key"
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    return certificate_file, key_file


@pytest.mark.parametrize(
    ("key", "algorithm", "name"),
    [
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256(), "sha256"),
        (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384(), "sha384"),
        (rsa.generate_private_key(65537, 2048), hashes.SHA512(), "sha512"),
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA3_256(), "sha3_256"),
    ],
)
def test_the_end_point_is_hashed_as_the_certificate_is_signed(
    key: Key, algorithm: hashes.HashAlgorithm, name: str
) -> None:
    der = a_certificate(key, algorithm).public_bytes(Encoding.DER)

    assert hashlib.new(name, der).digest() == server_end_point(der)


def test_the_end_point_of_a_sha_1_certificate_is_hashed_with_sha_256() -> None:
    assert hashlib.sha256(SHA1_SIGNED).digest() == server_end_point(SHA1_SIGNED)


def test_an_ed25519_certificate_has_no_end_point_binding() -> None:
    der = a_certificate(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(Encoding.DER)

    assert None is server_end_point(der)


def test_the_exporter_is_found_and_gives_both_ends_the_same_and_each_connection_its_own(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    exporter = find_exporter(*self_signed(tmp_path, ["localhost"]))
    assert exporter is not None
    found = []
    for _ in range(2):
        with small_pair() as (near, far):
            take_tls(far, near, server, client)
            assert far.tls is not None
            found.append((far.tls.bindings["tls-exporter"], exporter(near._sock._sslobj)))

    assert [True, True] == [one == other for one, other in found]
    assert 2 == len(set(found))
    assert 32 == len(found[0][0])


def test_an_exporter_that_gives_a_wrong_value_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_binding, "_openssl_exporter", lambda: lambda _: bytes(32))

    assert None is find_exporter.__wrapped__(*self_signed(tmp_path, ["localhost"]))


def test_where_openssl_cannot_be_reached_there_is_no_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = self_signed(tmp_path, ["localhost"])
    for file in (None, str(tmp_path / "missing.so")):
        monkeypatch.setattr("_ssl.__file__", file)

        assert None is find_exporter.__wrapped__(*files)


def test_an_object_of_another_layout_is_not_looked_into() -> None:
    class Other:
        context = object()

    assert None is channel_binding.ssl_pointer(Other())


def test_tls_1_2_has_tls_unique_and_no_exporter(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with small_pair() as (near, far):
        take_tls(far, near, server, client)
        assert near.tls is not None
        assert far.tls is not None

        assert {"tls-unique", "tls-server-end-point"} == set(far.tls.bindings)
        assert near.tls.bindings == far.tls.bindings


def test_bindings_without_an_exporter_are_those_of_the_certificate(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    with small_pair() as (near, far):
        take_tls(far, near, server, client)

        assert ["tls-server-end-point"] == list(channel_bindings(far._sock, server.certificate_der, None))
        assert "tls-exporter" not in channel_bindings(far._sock, server.certificate_der, lambda _: b"")


def test_tls_1_1_is_refused(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)

    assert ssl.TLSVersion.TLSv1_2 == server.minimum_version == client.minimum_version


def test_no_cipher_is_without_forward_secrecy_or_authentication(tmp_path: Path) -> None:
    server, _ = contexts(tmp_path)
    names = {cipher["name"] for cipher in server.get_ciphers()}

    assert set() == {name for name in names if not name.startswith(("TLS_", "ECDHE-")) or "CBC" in name}


def test_idle_connections_give_their_buffers_back(tmp_path: Path) -> None:
    import _ssl
    import ctypes

    server, _ = contexts(tmp_path)
    pointer = ctypes.cast(id(server) + object.__basicsize__, ctypes.POINTER(ctypes.c_void_p))[0]
    mode = ctypes.CDLL(_ssl.__file__).SSL_CTX_ctrl
    mode.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    mode.restype = ctypes.c_long
    ssl_ctrl_mode, ssl_mode_release_buffers = 33, 0x10

    assert mode(pointer, ssl_ctrl_mode, 0, None) & ssl_mode_release_buffers


def test_a_session_is_resumed_by_its_ticket(tmp_path: Path) -> None:
    server, client = contexts(tmp_path)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    def handshake(session: ssl.SSLSession | None) -> ssl.SSLObject:
        far = server.wrap_bio(incoming, outgoing, server_side=True)
        near = client.wrap_bio(outgoing, incoming, server_hostname="localhost", session=session)
        for side in (near, far, near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        far.write(b"ticket")
        near.read(10)
        return near

    first = handshake(None)
    second = handshake(first.session)

    assert (False, True) == (first.session_reused, second.session_reused)


def test_a_self_signed_certificate_is_made_once_and_kept_secret(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, ["localhost", "example.org"])
    content = certificate.read_bytes(), key.read_bytes()
    again = self_signed(tmp_path, ["localhost", "example.org"])

    assert (certificate, key) == again
    assert content == (certificate.read_bytes(), key.read_bytes())
    assert 0o600 == stat.S_IMODE(key.stat().st_mode)


@pytest.mark.parametrize("damage", ["domains", "key", "certificate", "missing", "other", "old", "nameless"])
def test_a_self_signed_certificate_that_does_not_fit_is_made_anew(damage: str, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, ["localhost"])
    before = certificate.read_bytes()
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if damage == "key":
        key.write_text("damaged")
    elif damage == "certificate":
        certificate.write_text("damaged")
    elif damage == "missing":
        key.unlink()
    elif damage == "other":
        key.write_bytes(pem)
    elif damage == "old":
        key.write_bytes(pem)
        certificate.write_bytes(a_certificate(other, hashes.SHA256(), days=29).public_bytes(Encoding.PEM))
    elif damage == "nameless":
        key.write_bytes(pem)
        certificate.write_bytes(without_names(other).public_bytes(Encoding.PEM))
    self_signed(tmp_path, ["localhost", "new.example"] if damage == "domains" else ["localhost"])
    server_context(certificate, key)

    assert before != certificate.read_bytes()


def without_names(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=90))
    return builder.sign(key, hashes.SHA256())


def test_a_self_signed_certificate_names_domains_and_addresses_and_passes_the_strict_checks(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, ["bücher.example", "localhost", "127.0.0.1", "[::1]"])
    names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    server, client = contexts(tmp_path)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    with small_pair() as (near, far):
        take_tls(far, near, server, client)

    assert ["xn--bcher-kva.example", "localhost"] == names.value.get_values_for_type(x509.DNSName)
    assert ["127.0.0.1", "::1"] == [str(ip) for ip in names.value.get_values_for_type(x509.IPAddress)]
    assert key.exists()


def test_a_directory_that_cannot_be_written_to_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("in the way")
    with pytest.raises(ConfigError, match=r"server\.data_dir: cannot keep a certificate in .*tls"):
        self_signed(tmp_path, ["localhost"])


def test_a_domain_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server\.domains: .* is not a domain name"):
        self_signed(tmp_path, ["a" * 64 + ".example"])


def test_without_a_certificate_one_is_made(tmp_path: Path) -> None:
    context = context_for(TlsSettings(), data_dir=tmp_path, domains=["localhost"])

    assert (tmp_path / "tls" / "self-signed.crt").exists()
    assert context.certificate_der


def test_a_configured_certificate_is_used_with_its_key_beside_it_or_inside(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = a_certificate(key, hashes.SHA256())
    certificate_file, key_file = written(tmp_path, key, certificate)
    both = tmp_path / "both.pem"
    both.write_bytes(key_file.read_bytes() + certificate_file.read_bytes())
    beside = TlsSettings(certificate=str(certificate_file), key=str(key_file))
    inside = TlsSettings(certificate=str(both))
    found = [context_for(each, data_dir=tmp_path, domains=[]).certificate_der for each in (beside, inside)]

    assert [certificate.public_bytes(Encoding.DER)] * 2 == found


def test_a_key_without_a_certificate_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tls\.key: there is a key but no tls\.certificate"):
        context_for(TlsSettings(key="server.key"), data_dir=tmp_path, domains=[])


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("no certificate", r"tls\.certificate: cannot read .*server\.crt: No such file"),
        ("no key", r"tls\.key: cannot read .*server\.key: No such file"),
        ("bad certificate", r"tls\.certificate: .*server\.crt holds no PEM certificate"),
        ("bad key", r"tls\.key: .*server\.key holds no PEM key"),
        ("other key", r"tls\.key: .*server\.key is not the key of the certificate in .*server\.crt"),
        ("locked key", r"tls\.key: .*server\.key holds no PEM key that can be used"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_a_clear_error(fault: str, says: str, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, key_file = written(
        tmp_path,
        ec.generate_private_key(ec.SECP256R1()) if fault == "other key" else key,
        a_certificate(key, hashes.SHA256()),
        BestAvailableEncryption(b"secret") if fault == "locked key" else None,
    )
    if fault == "no certificate":
        certificate.unlink()
    elif fault == "no key":
        key_file.unlink()
    elif fault == "bad certificate":
        certificate.write_text("-----BEGIN NOTHING-----")
    elif fault == "bad key":
        key_file.write_text("-----BEGIN NOTHING-----")

    with pytest.raises(ConfigError, match=says):
        server_context(certificate, key_file)
