"""Who pushes: VAPID tokens (RFC 8292), read with the sandbox's own verifier."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from workers.push.credential import CredentialError
from workers.push.providers.webpush.keys import new_key
from workers.push.providers.webpush.vapid import LIFETIME_S, RENEW_S, Credential, Signer
from workers.sandbox.webpush.vapid import application_server

ORIGIN = "https://push.example"
SUBJECT = "mailto:admin@example.org"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(tmp_path: Path, clock: Clock) -> Signer:
    new_key(tmp_path / "vapid.pem")
    return Signer(str(tmp_path / "vapid.pem"), SUBJECT, clock=clock)


def test_a_push_service_believes_it(signer: Signer, clock: Clock) -> None:
    value = signer.credential(ORIGIN).value()

    assert signer.public_key == application_server(value, origins=frozenset({ORIGIN}), now=clock.now)


def test_it_says_for_whom_until_when_and_whom_to_ask(signer: Signer, clock: Clock, tmp_path: Path) -> None:
    key = load_pem_private_key((tmp_path / "vapid.pem").read_bytes(), None).public_key()
    token = signer.credential(ORIGIN).value().removeprefix("vapid t=").partition(",")[0]
    claims = jwt.decode(token, key, algorithms=["ES256"], audience=ORIGIN, options={"verify_exp": False})  # type: ignore[arg-type]

    assert {"aud": ORIGIN, "exp": int(clock.now) + LIFETIME_S, "sub": SUBJECT} == claims
    assert LIFETIME_S <= 24 * 3600


def credential(signer: Signer) -> Credential:
    return signer.credential(ORIGIN)


def test_it_is_signed_once_in_six_hours(signer: Signer, clock: Clock) -> None:
    one = credential(signer)
    first = one.value()
    clock.now += RENEW_S - 1
    still = one.value()
    clock.now += 2
    then = one.value()

    assert first == still
    assert first != then


def test_it_is_signed_anew_when_the_clock_was_set_back(signer: Signer, clock: Clock) -> None:
    one = credential(signer)
    first = one.value()
    clock.now -= 86_400

    assert first != one.value()


def test_a_refused_one_is_replaced_once_and_not_in_the_same_second(signer: Signer, clock: Clock) -> None:
    one = credential(signer)
    first = one.value()
    at_once = one.renewed(first)
    clock.now += 1
    second = one.renewed(first)
    for_the_others = one.renewed(first)

    assert at_once is None
    assert second not in (None, first)
    assert second == for_the_others == one.value()


def test_each_push_service_gets_its_own(signer: Signer, clock: Clock) -> None:
    other = signer.credential("https://other.example").value()
    with pytest.raises(Exception, match="aud is not the origin"):
        application_server(other, origins=frozenset({ORIGIN}), now=clock.now)


def test_a_key_that_cannot_be_read_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="cannot be read"):
        Signer(str(tmp_path / "missing.pem"), SUBJECT, clock=Clock())
