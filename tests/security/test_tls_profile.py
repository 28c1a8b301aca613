"""What clients can agree on with the server: Mozilla's intermediate profile (5.7), by handshakes, with both kinds of
keys.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.transports.channel_binding import channel_bindings
from gateway.transports.tls import ServerContext, server_context
from tests.unit.transports.test_tls import a_certificate, written

KINDS: Final = ("ECDSA", "RSA")

PROFILE: Final = {
    kind: [f"ECDHE-{kind}-{name}" for name in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]
    for kind in KINDS
}
"""of TLS 1.2; those of 1.3 are all there are"""

TLS_1_3: Final = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}

REFUSED: Final = (
    "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "AES128-GCM-SHA256", "AES128-SHA",
    "AES256-SHA256", "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES128-CCM", "AECDH-AES128-SHA",
    "NULL-SHA256",
)  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ServerContext:
    is_rsa = request.param == "RSA"
    key = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
    directory = tmp_path_factory.mktemp("tls")
    return server_context(*written(directory, key, a_certificate(key, hashes.SHA256())))


@pytest.fixture
def kind(server: ServerContext, request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["server"])


def a_client(version: ssl.TLSVersion | None = None, *, ciphers: str = "", group: str = "") -> ssl.SSLContext:
    """One that takes anything: what is refused, the server refuses."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            client.minimum_version = client.maximum_version = version
    client.set_ciphers(f"{ciphers or 'ALL'}:@SECLEVEL=0")
    if group:
        client.set_ecdh_curve(group)
    return client


def shake(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after the handshake. Raises SSLError."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(outgoing, incoming, session=session)
    far = server.wrap_bio(incoming, outgoing, server_side=True)
    for side in (near, far, near, far, near, far):  # hello, answer, again if another group was asked for
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert near.cipher()
    far.write(b"ticket")
    near.read(10)
    return near, far


def is_refused(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    try:
        shake(server, client)
    except ssl.SSLError:
        return True
    return False


@pytest.mark.parametrize(
    ("version", "refused"),
    [("TLSv1", True), ("TLSv1_1", True), ("TLSv1_2", False), ("TLSv1_3", False)],
)
def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(server: ServerContext, version: str, refused: bool) -> None:
    assert refused == is_refused(server, a_client(ssl.TLSVersion[version]))


def test_each_cipher_of_the_profile_is_agreed_on(server: ServerContext, kind: str) -> None:
    for name in PROFILE[kind]:
        near, _ = shake(server, a_client(ssl.TLSVersion.TLSv1_2, ciphers=name))

        assert (name, "TLSv1.2") == (near.cipher() or ())[:2]


def test_no_other_cipher_is_agreed_on(server: ServerContext, kind: str) -> None:
    agreed = [name for name in REFUSED if not is_refused(server, a_client(ssl.TLSVersion.TLSv1_2, ciphers=name))]

    assert [] == agreed
    names = {cipher["name"] for cipher in server.get_ciphers()}
    assert {*PROFILE["ECDSA"], *PROFILE["RSA"], *TLS_1_3} == names


def test_the_clients_favourite_is_taken(server: ServerContext, kind: str) -> None:
    for favourite in PROFILE[kind]:
        others = [name for name in PROFILE[kind] if name != favourite]
        near, _ = shake(server, a_client(ssl.TLSVersion.TLSv1_2, ciphers=":".join([favourite, *others])))

        assert favourite == (near.cipher() or ("",))[0]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize(
    ("group", "refused"),
    [("X25519", False), ("prime256v1", False), ("secp384r1", False), ("secp521r1", True), ("X448", True)],
)
def test_keys_are_agreed_on_in_the_groups_of_the_profile(
    server: ServerContext, kind: str, version: str, group: str, refused: bool
) -> None:
    if (kind, version) == ("ECDSA", "TLSv1_2"):
        refused = group != "prime256v1"  # there the list says as well which keys of certificates a client knows

    assert refused == is_refused(server, a_client(ssl.TLSVersion[version], group=group))


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_nothing_is_compressed_and_nothing_negotiated_anew(server: ServerContext, version: str) -> None:
    near, far = shake(server, a_client(ssl.TLSVersion[version]))

    assert None is near.compression() is far.compression()
    assert server.options & ssl.OP_NO_COMPRESSION
    assert server.options & ssl.OP_NO_RENEGOTIATION


def _bound(side: ssl.SSLObject, server: ServerContext) -> Callable[[], set[str]]:
    return lambda: set(channel_bindings(side, server.certificate_der, server.exporter))  # type: ignore[arg-type]


def test_a_resumed_session_of_tls_1_2_has_no_binding_that_another_one_could_share(server: ServerContext) -> None:
    client = a_client(ssl.TLSVersion.TLSv1_2)
    near, first = shake(server, client)
    _, second = shake(server, client, near.session)

    assert (False, True) == (first.session_reused, second.session_reused)
    assert {"tls-unique", "tls-server-end-point"} == _bound(first, server)()
    assert {"tls-server-end-point"} == _bound(second, server)()


def test_a_ticket_is_good_at_the_process_that_gave_it_alone(server: ServerContext, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    files = written(tmp_path, key, a_certificate(key, hashes.SHA256()))
    client = a_client(ssl.TLSVersion.TLSv1_3)
    here, there = server_context(*files), server_context(*files)

    near, _ = shake(here, client)

    assert shake(here, client, near.session)[1].session_reused
    near, _ = shake(here, client)
    assert not shake(there, client, near.session)[1].session_reused
