"""Provider tokens: one per key, not too often, not too old."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.mailbox.errors import StoreUnavailable
from gateway.mailbox.journal import Journal
from gateway.mailbox.keys import PROVIDER_TOKENS
from tests.push.builders import a_file
from workers.push.credential import CredentialError
from workers.push.providers.apns.token import FLOOR_S, ROTATE_S, ProviderToken, load_key
from workers.push.token_store import EXPIRY_S, LocalTokenStore, Minted, SharedTokenStore, TokenStore

KEY = ec.generate_private_key(ec.SECP256R1())


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def a_worker(store: TokenStore, clock: Clock) -> ProviderToken:
    return ProviderToken(KEY, team_id="TEAM123456", key_id="KEY1234567", store=store, clock=clock)


def test_a_token_names_team_key_and_time_and_is_signed_with_es256() -> None:
    clock = Clock()
    token = a_worker(LocalTokenStore(), clock).bearer()

    assert {"iss": "TEAM123456", "iat": int(clock.now)} == jwt.decode(token, KEY.public_key(), algorithms=["ES256"])
    assert "KEY1234567" == jwt.get_unverified_header(token)["kid"]


def test_a_token_is_used_for_45_minutes_and_then_renewed() -> None:
    clock = Clock()
    worker = a_worker(LocalTokenStore(), clock)
    first = worker.bearer()
    clock.now += ROTATE_S - 1
    assert first == worker.bearer()
    clock.now += 1

    assert first != worker.bearer()


def test_workers_share_one_token() -> None:
    store, clock = LocalTokenStore(), Clock()
    first = a_worker(store, clock).bearer()
    clock.now += 60

    assert first == a_worker(store, clock).bearer()


def test_the_first_to_rotate_wins_and_the_others_follow() -> None:
    store, clock = LocalTokenStore(), Clock()
    one, other = a_worker(store, clock), a_worker(store, clock)
    one.bearer(), other.bearer()
    clock.now += ROTATE_S
    renewed = one.bearer()
    clock.now += 5

    assert renewed == other.bearer()


def test_an_expired_token_is_renewed_once_for_all_that_ask() -> None:
    clock = Clock()
    worker = a_worker(LocalTokenStore(), clock)
    old = worker.bearer()
    clock.now += FLOOR_S
    renewed = worker.renewed(old)

    assert renewed not in (None, old)
    assert renewed == worker.renewed(old)


def test_no_token_is_made_within_twenty_minutes_of_the_last() -> None:
    clock = Clock()
    worker = a_worker(LocalTokenStore(), clock)
    old = worker.bearer()
    clock.now += FLOOR_S - 1

    assert worker.renewed(old) is None


def test_after_too_many_updates_the_token_before_is_used_again_and_none_made() -> None:
    clock = Clock()
    worker = a_worker(LocalTokenStore(), clock)
    first = worker.bearer()
    clock.now += ROTATE_S
    second = worker.bearer()

    assert first == worker.previous(second)
    assert first == worker.bearer()
    clock.now += FLOOR_S
    assert worker.bearer() == second


def test_a_token_that_is_too_old_is_not_gone_back_to() -> None:
    clock = Clock()
    worker = a_worker(LocalTokenStore(), clock)
    worker.bearer()
    clock.now += EXPIRY_S
    second = worker.bearer()

    assert worker.previous(second) is None


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    """A connection to an empty Redis."""
    made = Journal(redis_url)
    made.start()
    yield made
    made.stop()


def test_in_redis_the_first_offer_wins_until_the_floor(journal: Journal) -> None:
    store = SharedTokenStore(journal)
    first, second, third = Minted("a", 1000), Minted("b", 1000 + FLOOR_S - 1), Minted("c", 1000 + FLOOR_S)

    assert first == store.offer("t:k", first, floor_s=FLOOR_S)
    assert first == store.offer("t:k", second, floor_s=FLOOR_S)
    assert third == store.offer("t:k", third, floor_s=FLOOR_S)
    assert third == store.current("t:k")
    assert store.current("t:other") is None


def test_two_workers_with_one_redis_send_one_token(journal: Journal) -> None:
    clock = Clock()
    tokens = {a_worker(SharedTokenStore(journal), clock).bearer() for _ in range(5)}

    assert 1 == len(tokens)


def test_many_workers_that_begin_at_once_send_one_token(journal: Journal) -> None:
    clock = Clock()
    workers = [a_worker(SharedTokenStore(journal), clock) for _ in range(10)]
    tokens = {greenlet.get(timeout=20) for greenlet in [gevent.spawn(worker.bearer) for worker in workers]}
    clock.now += ROTATE_S
    renewed = {greenlet.get(timeout=20) for greenlet in [gevent.spawn(worker.bearer) for worker in workers]}

    assert (1, 1) == (len(tokens), len(renewed))
    assert tokens != renewed


def test_another_key_under_the_same_id_has_a_token_of_its_own() -> None:
    """A wrong file that is put right would go on under the wrong one's token for 45 minutes."""
    store, clock = LocalTokenStore(), Clock()
    right = ec.generate_private_key(ec.SECP256R1())
    wrong_token = a_worker(store, clock).bearer()
    token = ProviderToken(right, team_id="TEAM123456", key_id="KEY1234567", store=store, clock=clock).bearer()

    assert wrong_token != token
    assert jwt.decode(token, right.public_key(), algorithms=["ES256"])


def test_a_shared_token_is_gone_from_redis_when_it_is_of_no_use(journal: Journal) -> None:
    SharedTokenStore(journal).offer("t:k", Minted("a", 1000), floor_s=FLOOR_S)

    assert 0 < journal.call("TTL", PROVIDER_TOKENS + "t:k") <= EXPIRY_S


def test_without_redis_there_is_an_error_of_ours() -> None:
    store = SharedTokenStore(Journal("unix:///nowhere", timeout_s=0.05))

    with pytest.raises(StoreUnavailable):
        store.current("t:k")
    with pytest.raises(StoreUnavailable):
        store.offer("t:k", Minted("a", 1), floor_s=1)


def a_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "is not a private key"),
        (a_pem(ec.generate_private_key(ec.SECP384R1())), "not an EC P-256 key"),
        (a_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)), "not an EC P-256 key"),
    ],
)
def test_a_file_that_is_no_key_is_a_clear_error(tmp_path: Path, content: bytes, text: str) -> None:
    file = a_file(tmp_path, "key.p8", content)

    with pytest.raises(CredentialError, match=text) as caught:
        load_key(file)
    assert file in str(caught.value)


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="No such file"):
        load_key(str(tmp_path / "missing.p8"))
