"""RFC 5929 and RFC 9266: what ties a SASL authentication to the TLS connection it runs in.

`tls-server-end-point` needs the certificate only. `tls-unique` is there for TLS 1.2 and undefined for 1.3.
`tls-exporter` is the one for TLS 1.3, and Python's `ssl` does not offer it: `find_exporter` reaches OpenSSL's own
function through the `_ssl` extension and gives it out only after it has computed the right value for a connection
whose secrets it knows.
"""

import _ssl
import contextlib
import ctypes
import functools
import hashlib
import hmac
import ssl
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

Exporter = Callable[[Any], bytes]
"""Takes the `_ssl._SSLSocket` of a TLS 1.3 connection, returns its `tls-exporter` binding, b"" if OpenSSL refuses."""

_LABEL = b"EXPORTER-Channel-Binding"
_LENGTH = 32
_WORD = struct.calcsize("P")


def server_end_point(certificate_der: bytes) -> bytes | None:
    """RFC 5929 §4.1: the certificate's hash, by the hash of its signature, SHA-256 instead of MD5 and SHA-1.

    None for signatures without a hash of their own (Ed25519), for which the type is undefined.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate_der).signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name.replace("-", "_"), certificate_der).digest()


def channel_bindings(tls_socket: ssl.SSLSocket, certificate_der: bytes, exporter: Exporter | None) -> dict[str, bytes]:
    """The bindings of a connection after its handshake, by type; `certificate_der` is the server's certificate.

    `tls-unique` is left out of a session that was resumed: without RFC 7627 two connections could share it.
    """
    bindings: dict[str, bytes] = {}
    version = tls_socket.version()
    if version == "TLSv1.3" and exporter and (exported := exporter(tls_socket._sslobj)):  # type: ignore[attr-defined]
        bindings["tls-exporter"] = exported
    is_unique = version == "TLSv1.2" and not tls_socket.session_reused
    if is_unique and (unique := tls_socket.get_channel_binding("tls-unique")):
        bindings["tls-unique"] = unique
    if end_point := server_end_point(certificate_der):
        bindings["tls-server-end-point"] = end_point
    return bindings


@functools.cache
def find_exporter(certificate: Path, key: Path) -> Exporter | None:
    """The way to `tls-exporter` if this Python and OpenSSL have one that works, else None.

    Proved by a handshake in memory, with the server's certificate and key: OpenSSL writes that connection's secret
    into a key log, and what RFC 8446 §7.5 derives from it has to be what the exporter says, on both ends.
    """
    exporter = _openssl_exporter()
    if exporter is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "keys"
        server_side, client_side = _handshake_in_memory(certificate, key, log)
        secret = _logged_secret(log)
    hash_name = "sha384" if str(server_side.cipher()).find("SHA384") >= 0 else "sha256"
    expected = export(secret, hash_name)
    found = [exporter(side._sslobj) for side in (server_side, client_side)]  # type: ignore[attr-defined]
    return exporter if found == [expected, expected] else None


def export(secret: bytes, hash_name: str) -> bytes:
    """RFC 8446 §7.5 with RFC 9266's label: the binding from a connection's exporter_master_secret."""
    nothing = hashlib.new(hash_name, b"").digest()
    derived = _expand_label(secret, _LABEL, nothing, len(nothing), hash_name=hash_name)
    return _expand_label(derived, b"exporter", nothing, _LENGTH, hash_name=hash_name)


def _expand_label(secret: bytes, label: bytes, context: bytes, length: int, *, hash_name: str) -> bytes:
    """RFC 8446 §7.1: HKDF-Expand-Label, for no more than one block of output."""
    label = b"tls13 " + label
    info = struct.pack("!HB", length, len(label)) + label + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", hash_name)[:length]


def _openssl_exporter() -> Exporter | None:
    """SSL_export_keying_material of the very libssl that the `_ssl` extension is linked to."""
    file = getattr(_ssl, "__file__", None)
    if file is None:
        return None
    try:
        function = ctypes.CDLL(file).SSL_export_keying_material
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_int
    function.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_int,
    ]

    def exporter(ssl_object: Any) -> bytes:
        out = ctypes.create_string_buffer(_LENGTH)
        pointer = ssl_pointer(ssl_object)
        if pointer is None or function(pointer, out, _LENGTH, _LABEL, len(_LABEL), b"", 0, 1) != 1:
            return b""
        return out.raw

    return exporter


def ssl_pointer(ssl_object: Any) -> int | None:
    """The `SSL *` in an `_ssl._SSLSocket`: the word before the pointer to its context object.

    Found by that neighbour, not by a fixed offset, so that another layout is noticed and not followed.
    """
    size = type(ssl_object).__basicsize__ // _WORD * _WORD
    words = struct.unpack(f"{size // _WORD}P", ctypes.string_at(id(ssl_object), size))
    context = id(ssl_object.context)
    if words.count(context) != 1:
        return None
    return int(words[words.index(context) - 1]) or None


def _handshake_in_memory(certificate: Path, key: Path, log: Path) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    server.minimum_version = client.minimum_version = ssl.TLSVersion.TLSv1_3
    client.keylog_filename = str(log)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server)
    for side in (client_side, server_side, client_side, server_side):  # hello, answer, both finished
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return server_side, client_side


def _logged_secret(log: Path) -> bytes:
    for line in log.read_text().splitlines():
        name, _, rest = line.partition(" ")
        if name == "EXPORTER_SECRET":
            return bytes.fromhex(rest.split()[1])
    return b""
