"""FCM: the token endpoint of RFC 7523, and bearer tokens that run out."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.sandbox.clients import access_token, ask_for_access_token, assertion, control, send_to_fcm
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.server import Sandbox

MESSAGE = {"message": {"token": "device", "data": {"k": "v"}}}


def test_an_assertion_buys_an_access_token_that_sends(sandbox: Sandbox) -> None:
    answer = ask_for_access_token(sandbox, assertion(sandbox))
    sent = send_to_fcm(sandbox, MESSAGE, token=answer.json()["access_token"])

    assert (200, "Bearer", 3599) == (answer.status, answer.json()["token_type"], answer.json()["expires_in"])
    assert 200 == sent.status
    assert sent.json()["name"].startswith("projects/wakegate-demo/messages/")
    assert 1 == sandbox.stats()["fcm_access_tokens"]


def test_the_same_endpoint_by_another_name_is_the_same_audience(sandbox: Sandbox) -> None:
    by_name = sandbox.addresses["token_uri"].replace("127.0.0.1", "localhost")

    assert 200 == ask_for_access_token(sandbox, assertion(sandbox, aud=by_name)).status


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"iss": "stranger@example.org"}, "invalid_grant"),
        ({"iss": None}, "invalid_grant"),
        ({"aud": "https://example.org/token"}, "invalid_grant"),
        ({"exp": 1}, "invalid_grant"),
        ({"exp": None}, "invalid_grant"),
        ({"iat": None}, "invalid_grant"),
        ({"iat": 1_000_000, "exp": 1_003_600}, "invalid_grant"),
        ({"iat": 4_000_000_000, "exp": 4_000_003_600}, "invalid_grant"),
        ({"exp": 4_000_000_000}, "invalid_grant"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
    ],
)
def test_a_wrong_claim_buys_nothing(sandbox: Sandbox, claims: dict[str, Any], error: str) -> None:
    answer = ask_for_access_token(sandbox, assertion(sandbox, **claims))

    assert (400, error) == (answer.status, answer.json()["error"])
    assert answer.json()["error_description"]


def test_a_wrong_signature_key_or_form_buys_nothing(sandbox: Sandbox) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = stranger.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    good = assertion(sandbox)
    answers = [
        ask_for_access_token(sandbox, assertion(sandbox, key=pem)),
        ask_for_access_token(sandbox, assertion(sandbox, kid="another")),
        ask_for_access_token(sandbox, "garbled"),
        ask_for_access_token(sandbox, ""),
        ask_for_access_token(sandbox, good, grant_type="password"),
    ]

    assert [(400, "invalid_grant")] * 4 == [(answer.status, answer.json()["error"]) for answer in answers[:4]]
    assert "unsupported_grant_type" == answers[4].json()["error"]
    assert 5 == sandbox.stats()["fcm_assertions_refused"]


def test_an_access_token_runs_out(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(fcm_access_token_lifetime_s=60)
    token = access_token(sandbox)
    good = send_to_fcm(sandbox, MESSAGE, token=token)
    sandbox.clock.advance(61)
    expired = send_to_fcm(sandbox, MESSAGE, token=token)

    assert [200, 401] == [good.status, expired.status]
    assert "UNAUTHENTICATED" == expired.json()["error"]["status"]


def test_access_tokens_can_be_revoked(sandbox: Sandbox) -> None:
    token = access_token(sandbox)
    revoked = control(sandbox, "DELETE", "/control/fcm/access-tokens")
    answer = send_to_fcm(sandbox, MESSAGE, token=token)

    assert {"revoked": 1} == revoked.json()
    assert 401 == answer.status


@pytest.mark.parametrize("token", ["", "made-up"])
def test_without_a_good_access_token_nothing_is_sent(sandbox: Sandbox, token: str) -> None:
    answer = send_to_fcm(sandbox, MESSAGE, token=token)

    assert 401 == answer.status
    assert "UNAUTHENTICATED" == answer.json()["error"]["status"]
    assert not answer.fcm_codes


def test_another_project_is_not_ours_to_send_for(sandbox: Sandbox) -> None:
    answer = send_to_fcm(sandbox, MESSAGE, project="other-project")

    assert (403, "PERMISSION_DENIED") == (answer.status, answer.json()["error"]["status"])
