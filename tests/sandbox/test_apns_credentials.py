"""APNs: who may push."""

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sandbox.clients import DEVICE, ApnsClient, headers_for, provider_token
from workers.sandbox.apns.credential import ProviderKey
from workers.sandbox.material import KEY_ID, TEAM_ID, TOPIC
from workers.sandbox.server import Sandbox

ANOTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def another(**fields: object) -> ProviderKey:
    values: dict[str, object] = {"team_id": TEAM_ID, "key_id": "KEY7654321", "key": ANOTHER_KEY.public_key()}
    return ProviderKey(**{**values, **fields})  # type: ignore[arg-type]


def test_a_push_with_a_provider_token_is_accepted_and_recorded(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for(provider_token(sandbox), apns_id="aaaaaaaa-1111-2222-3333-444444444444"))

    assert 200 == reply.status
    assert "aaaaaaaa-1111-2222-3333-444444444444" == reply.headers["apns-id"]
    assert "apns-unique-id" not in reply.headers
    [push] = sandbox.record.since(0)
    assert (DEVICE, "production", 200, f"{TEAM_ID}/{KEY_ID}") == (
        push.token,
        push.environment,
        push.status,
        push.sender,
    )
    assert {"aps": {"alert": "hello"}} == push.payload
    assert "authorization" not in push.headers


def test_the_development_environment_answers_with_a_unique_id(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox, "apns_development") as client:
        reply = client.push(headers_for(provider_token(sandbox)))

    assert 200 == reply.status
    assert 36 == len(reply.headers["apns-unique-id"])
    assert "sandbox" == sandbox.record.since(0)[0].environment


@pytest.mark.parametrize("authorization", [None, "", "bearer", "bearer ", "basic abc"])
def test_a_request_without_a_provider_token_is_told_so(sandbox: Sandbox, authorization: str | None) -> None:
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for("", authorization=authorization))

    assert (403, "MissingProviderToken") == (reply.status, reply.reason)


def test_tokens_that_are_not_right_are_invalid(sandbox: Sandbox) -> None:
    good = provider_token(sandbox)
    head, claims, signature = good.split(".")
    wrong = {
        "garbled": "garbled",
        "not base64": f"{head}.{claims}.!!",
        "not JSON": f"YWJj.{claims}.{signature}",
        "signature of another token": f"{head}.{claims}.{'A' * 86}",
        "another key": provider_token(sandbox, key=ANOTHER_KEY),
        "unknown key id": provider_token(sandbox, key_id="UNKNOWN123"),
        "another team": provider_token(sandbox, team_id="OTHER12345"),
        "HS256": jwt.encode({"iss": TEAM_ID, "iat": 1}, "x" * 32, algorithm="HS256", headers={"kid": KEY_ID}),
        "issued in the future": provider_token(sandbox, age_s=-3000),
        "without iat": jwt.encode(
            {"iss": TEAM_ID}, sandbox.material.apns_key_file.read_text(), algorithm="ES256", headers={"kid": KEY_ID}
        ),
    }
    with ApnsClient(sandbox) as client:
        reasons = {name: client.push(headers_for(token)).reason for name, token in wrong.items()}

    assert dict.fromkeys(wrong, "InvalidProviderToken") == reasons


def test_a_token_older_than_an_hour_has_expired(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        young = client.push(headers_for(provider_token(sandbox, age_s=3500)))
        token = provider_token(sandbox)
        fresh = client.push(headers_for(token))
        sandbox.clock.advance(3601)
        old = client.push(headers_for(token))

    assert [200, 200, 403] == [young.status, fresh.status, old.status]
    assert "ExpiredProviderToken" == old.reason


def test_a_new_token_within_twenty_minutes_is_one_too_many(sandbox: Sandbox) -> None:
    first, soon = provider_token(sandbox, age_s=1300), provider_token(sandbox, age_s=110)
    with ApnsClient(sandbox) as client:
        statuses = [client.push(headers_for(token)).status for token in (first, soon, first)]
        refused = client.push(headers_for(soon))
        later = client.push(headers_for(provider_token(sandbox, age_s=90)))

    assert [200, 429, 200] == statuses
    assert "TooManyProviderTokenUpdates" == refused.reason
    assert 200 == later.status


def test_each_connection_may_begin_with_a_token_of_its_own(sandbox: Sandbox) -> None:
    replies = []
    for age_s in (10, 5):
        with ApnsClient(sandbox) as client:
            replies.append(client.push(headers_for(provider_token(sandbox, age_s=age_s))).status)

    assert [200, 200] == replies


def test_another_key_needs_another_connection(sandbox: Sandbox) -> None:
    sandbox.register_key(another())
    sandbox.register_key(another(team_id="OTHER12345", key_id="KEYOFOTHER"))
    with ApnsClient(sandbox) as client:
        client.push(headers_for(provider_token(sandbox)))
        same_team = client.push(headers_for(provider_token(sandbox, key=ANOTHER_KEY, key_id="KEY7654321")))
        other_team = client.push(
            headers_for(provider_token(sandbox, key=ANOTHER_KEY, key_id="KEYOFOTHER", team_id="OTHER12345"))
        )
    with ApnsClient(sandbox) as client:
        alone = client.push(headers_for(provider_token(sandbox, key=ANOTHER_KEY, key_id="KEY7654321")))

    assert (403, "UnrelatedKeyIdInToken") == (same_team.status, same_team.reason)
    assert (403, "InvalidProviderToken") == (other_team.status, other_team.reason)
    assert 200 == alone.status


def test_a_key_of_one_environment_is_refused_in_the_other(sandbox: Sandbox) -> None:
    sandbox.register_key(another(environment="sandbox"))
    headers = headers_for(provider_token(sandbox, key=ANOTHER_KEY, key_id="KEY7654321"))
    with ApnsClient(sandbox) as production, ApnsClient(sandbox, "apns_development") as development:
        replies = [production.push(headers), development.push(headers)]

    assert [(403, "BadEnvironmentKeyIdInToken"), (200, "")] == [(r.status, r.reason) for r in replies]


def test_a_key_for_some_topics_is_refused_for_others(sandbox: Sandbox) -> None:
    sandbox.register_key(another(topics=frozenset({"org.example.other"})))
    token = provider_token(sandbox, key=ANOTHER_KEY, key_id="KEY7654321")
    with ApnsClient(sandbox) as client:
        replies = [client.push(headers_for(token, apns_topic=topic)) for topic in (TOPIC, "org.example.other")]

    assert [(400, "TopicDisallowed"), (200, "")] == [(r.status, r.reason) for r in replies]


def test_a_certificate_pushes_to_its_topics_without_a_token(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox, with_certificate=True) as client:
        implied = client.push(headers_for("", authorization=None, apns_topic=None))
        ignored_token = client.push(headers_for("garbled", apns_topic=f"{TOPIC}.voip", apns_push_type="voip"))
        foreign = client.push(headers_for("", authorization=None, apns_topic="org.example.other"))

    assert [200, 200, 400] == [implied.status, ignored_token.status, foreign.status]
    assert "TopicDisallowed" == foreign.reason
    assert f"certificate/{TOPIC}" == sandbox.record.since(0)[0].sender


def test_a_key_id_registered_over_http_counts(sandbox: Sandbox, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from tests.sandbox.clients import control

    pem = ANOTHER_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    form = {"team_id": "NEWTEAM123", "key_id": "NEWKEY1234", "pem": pem}
    token = provider_token(sandbox, key=ANOTHER_KEY, key_id="NEWKEY1234", team_id="NEWTEAM123")
    answer = control(sandbox, "POST", "/control/apns/keys", form)
    with ApnsClient(sandbox) as client:
        before = client.push(headers_for(token))
        revoked = control(sandbox, "DELETE", "/control/apns/keys/NEWKEY1234").json()
        after = client.push(headers_for(token))
    refused = control(sandbox, "POST", "/control/apns/keys", form | {"pem": "no key"})

    assert {"registered": "NEWKEY1234"} == answer.json()
    assert (200, {"revoked": True}, "InvalidProviderToken") == (before.status, revoked, after.reason)
    assert 400 == refused.status
    assert "error" in json.loads(refused.body)
