"""Getting in to Redis: users, passwords, certificates; and that mistakes are told at once, not after a long wait."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.mailbox.errors import StoreMisconfigured, StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.mailbox.settings import RedisSettings
from gateway.settings import Secret
from gateway.transports.self_signed import self_signed
from tests.mailbox.world import JULIET, a_message, a_world
from tests.sentinel.one_server import behind_tls, one_server
from tests.support.redis_sentinel import RedisSentinel

# of the line of TLS: what it accepted last, when it is stopped
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket object:ResourceWarning")

PASSWORD = "correct"
DURABILITY = Path(__file__).parents[2] / "docs" / "durability.md"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    [rights] = re.findall(r"^user wakegate (.*)$", DURABILITY.read_text("utf-8"), re.MULTILINE)
    lines = (
        f"user wakegate {rights.replace('>PASSWORD', f'>{PASSWORD}')}",
        f"user reader on >{PASSWORD} ~* +get +info",
    )
    with one_server(tmp_path_factory.mktemp("redis"), *lines, password=PASSWORD) as port:
        yield port


def client_certificate(folder: Path) -> tuple[Path, Path]:
    """Signed by itself; and the key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wakegate")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    certificate, key = folder / "client.pem", folder / "client.key"
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, key


def started(url: str, **settings: Any) -> Journal:
    journal = Journal(RedisSettings(url, **settings).servers(Path()).source())
    journal.start()
    return journal


def refusal(url: str, **settings: Any) -> str:
    """Why a start fails, which it has to do at once."""
    began = time.monotonic()
    journal = started(url, **settings)
    with pytest.raises(StoreMisconfigured) as told:
        journal.wait_up(30)
    journal.stop(0)

    assert 10 > time.monotonic() - began
    return str(told.value)


def test_a_wrong_password_is_told_at_once(port: int) -> None:
    told = refusal(f"redis://127.0.0.1:{port}", password=Secret("wrong"))

    assert "WRONGPASS" in told
    assert "wrong" not in told.replace("WRONGPASS", "")


@pytest.mark.parametrize(
    ("userinfo", "place", "why"),
    [
        ("", "", "NOAUTH"),
        (f"reader:{PASSWORD}@", "", "NOPERM"),
        (f"nobody:{PASSWORD}@", "", "WRONGPASS"),
        (f":{PASSWORD}@", "/99", "DB index is out of range"),
    ],
)
def test_what_else_redis_refuses_is_told_at_once(port: int, userinfo: str, place: str, why: str) -> None:
    assert why in refusal(f"redis://{userinfo}127.0.0.1:{port}{place}")


def test_a_user_with_the_rights_that_are_written_down_can_do_everything(port: int) -> None:
    journal = Journal(f"redis://wakegate:{PASSWORD}@127.0.0.1:{port}")
    with a_world(f"redis://:{PASSWORD}@127.0.0.1:{port}", journal=journal) as world:
        world.account()
        phone = world.client()
        world.deliver(a_message("1"))
        journal.call("PUBLISH", "wg:n:n1", "x")
        journal.call("HSET", "wg:nodes", "n1", 1)

        assert [a_message("1")] == phone.stanzas()
        assert b"WRONGTYPE" not in repr(world.accounts.sessions(JULIET)).encode()


def test_a_password_that_is_changed_while_we_run_is_waited_for(port: int) -> None:
    journal = started(f"redis://:{PASSWORD}@127.0.0.1:{port}")
    journal.wait_up(20)
    with redis.Redis(port=port, password=PASSWORD) as client:
        client.config_set("requirepass", "another")
        client.client_kill_filter(_type="normal")
        RedisSentinel.wait(lambda: not journal.is_up)
        with pytest.raises(StoreMisconfigured, match="WRONGPASS"):
            journal.wait_up(20)
    with redis.Redis(port=port, password="another") as client:
        client.config_set("requirepass", PASSWORD)

    assert b"PONG" == journal.call("PING", timeout_s=20)
    journal.stop()


def test_tls_with_certificates_on_both_sides(port: int, tmp_path: Path) -> None:
    ours, our_key = client_certificate(tmp_path)
    theirs, their_key = self_signed(tmp_path / "theirs", ["redis.example"])
    shown = {"tls_certificate_file": str(ours), "tls_key_file": str(our_key), "password": Secret(PASSWORD)}
    with behind_tls(port, theirs, their_key, client_ca=ours) as line:
        url = f"rediss://127.0.0.1:{line}"
        journal = started(url, tls_ca_file=str(theirs), tls_verify="authority", **shown)
        journal.wait_up(20)
        answer = journal.call("PING")
        journal.stop()

        assert b"PONG" == answer
        assert "IP address mismatch" in refusal(url, tls_ca_file=str(theirs), **shown)
        assert "was not accepted: self-signed certificate" in refusal(url, **shown)
        assert "CERTIFICATE_REQUIRED" in refusal(url, tls_ca_file=str(theirs), tls_verify="authority")
    plain = Journal(f"rediss://127.0.0.1:{port}", timeout_s=0.3)
    plain.start()
    with pytest.raises(StoreUnavailable, match="one that speaks TLS"):
        plain.wait_up(1.5)
    plain.stop(0)


def test_the_sentinels_have_their_own_say(tmp_path: Path) -> None:
    with one_server(tmp_path, password=PASSWORD) as no_sentinel:
        told = refusal(f"redis+sentinel://127.0.0.1:{no_sentinel}/mymaster", sentinel_password=Secret("wrong"))

    assert f"sentinel 127.0.0.1:{no_sentinel}: " in told
    assert "WRONGPASS" in told
