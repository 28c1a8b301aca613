"""The usual mistakes: each is found by how it shows, and told from those that look alike."""

from __future__ import annotations

from typing import Any

import pytest

from workers.push.mistakes import MISTAKES, Case
from workers.push.mistakes.diagnosis import diagnose, in_words
from workers.push.settings import AppSettings

APPLES = "ab" * 32
GOOGLES = "dGhpc19pc19h:APA91b" + "Xy_z-9" * 20


def by_key(**fields: Any) -> AppSettings:
    values = {"provider": "apns", "topic": "org.example.chat", "team_id": "TEAM123456", "key_id": "KEY1234567"}
    return AppSettings(**{**values, "key_file": "AuthKey.p8", **fields})


def by_certificate(**fields: Any) -> AppSettings:
    return AppSettings(provider="apns", topic="org.example.chat", certificate_file="push.pem", **fields)


def apple(said: str, app: AppSettings | None = None, **fields: Any) -> Case:
    return Case(said=said, provider="apns", app=app or by_key(), token=fields.pop("token", APPLES), **fields)


def google(said: str, **fields: Any) -> Case:
    return Case(said=said, provider="fcm", token=fields.pop("token", GOOGLES), **fields)


def web(said: str, **fields: Any) -> Case:
    return Case(said=said, provider="webpush", **fields)


CERTAIN = [
    ("token-with-decoration", apple("malformed", token="<80a3 11f1>")),
    ("fcm-token-at-apns", apple("malformed", token=GOOGLES)),
    ("fcm-token-at-apns", apple("BadDeviceToken", token=GOOGLES)),
    ("apns-token-at-fcm", google("INVALID_ARGUMENT message.token", token=APPLES)),
    ("apns-token-at-fcm", google("UNREGISTERED", token=APPLES)),
    ("development-token-in-production", apple("BadDeviceToken")),
    ("store-token-in-sandbox", apple("BadDeviceToken", by_key(environment="sandbox"))),
    ("store-token-in-sandbox", apple("BadDeviceToken", environment="sandbox")),
    ("token-unknown-to-apple", apple("BadDeviceToken", by_key(environment="auto"))),
    ("token-of-another-app", apple("DeviceTokenNotForTopic")),
    ("topic-wrong", apple("BadTopic")),
    ("topic-wrong", apple("MissingTopic")),
    ("key-for-other-topics", apple("TopicDisallowed")),
    ("certificate-of-another-app", apple("TopicDisallowed", by_certificate())),
    ("certificate-of-another-app", apple("push.pem: is for org.example.other, not for topic x", by_certificate())),
    ("certificate-for-other-environment", apple("BadCertificateEnvironment", by_certificate())),
    ("certificate-expired", apple("no answer: [SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED]", by_certificate())),
    ("certificate-expired", apple("push.pem: the certificate has expired on 2025-01-01", by_certificate())),
    ("certificate-without-key", apple("push.pem: does not hold a certificate and its private key in PEM form")),
    ("key-file-wrong", apple("x.p8: is not an EC P-256 key, which APNs needs for ES256")),
    ("key-id-mistyped", apple("InvalidProviderToken", by_key(key_file="config/AuthKey_ABCDE12345.p8"))),
    ("clock-wrong-at-apple", apple("ExpiredProviderToken")),
    ("clock-wrong-at-apple", apple("InvalidProviderToken", skew_s=900)),
    ("key-for-other-environment", apple("BadEnvironmentKeyIdInToken")),
    ("another-sender-with-this-key", apple("TooManyProviderTokenUpdates")),
    ("entitlement-missing", apple("no valid aps-environment entitlement string found")),
    ("payload-too-large", apple("PayloadTooLarge")),
    ("app-removed", apple("Unregistered")),
    ("app-removed", google("UNREGISTERED")),
    ("not-a-service-account", google("x.json: is not the JSON file of a service account")),
    ("service-account-of-another-project", google("SENDER_ID_MISMATCH")),
    ("api-disabled", google("PERMISSION_DENIED SERVICE_DISABLED")),
    ("role-missing", google("PERMISSION_DENIED")),
    ("service-account-key-deleted", google("token endpoint: invalid_grant: Invalid JWT Signature.")),
    ("service-account-deleted", google("token endpoint: invalid_grant: Invalid grant: account not found")),
    ("clock-wrong-at-google", google("invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes)")),
    ("access-token-refused", google("UNAUTHENTICATED")),
    ("key-at-firebase-missing", google("THIRD_PARTY_AUTH_ERROR")),
    ("fcm-token-malformed", google("INVALID_ARGUMENT message.token")),
    ("project-not-found", google("NOT_FOUND")),
    ("vapid-key-changed", web("VapidPkHashMismatch")),
    ("vapid-subject-refused", web("BadJwtToken", app=AppSettings(vapid_subject="mailto:me@localhost"))),
    ("vapid-halves-apart", web("vapid_key_file: x.pem: vapid_public_key is not the public half of this key")),
    ("endpoint-gone", web("status 410")),
    ("endpoint-private", web("endpoint address not public")),
    ("endpoint-malformed", web("endpoint malformed")),
    ("endpoint-malformed", web("", token=GOOGLES)),
    ("endpoint-moved", web("redirect 308")),
    ("subscription-keys-wrong", web("keys malformed")),
    ("vapid-subject-refused", web("status 403", app=AppSettings(vapid_subject="mailto:me@localhost"))),
    ("vapid-key-changed", web("status 403", app=AppSettings(vapid_subject="mailto:me@example.org"))),
    ("app-server-does-not-know-the-node", Case(said="item-not-found", provider="appserver")),
    ("app-server-does-not-answer", Case(said="remote-server-not-found", provider="appserver")),
    (
        "connection-blocked",
        apple("no answer: cannot connect to api.push.apple.com:443: [Errno 111] Connection refused"),
    ),
    ("connection-blocked", google("token endpoint: cannot connect to oauth2.googleapis.com:443: timed out")),
    ("name-not-found", apple("cannot connect to api.push.aple.com:443: [Errno -2] Name or service not known")),
    ("tls-intercepted", apple("cannot connect to api.push.apple.com:443: [SSL: CERTIFICATE_VERIFY_FAILED]")),
    ("no-http2", apple("cannot connect to proxy:3128: proxy:3128 does not speak HTTP/2")),
    ("provider-slow", apple("no answer: no answer within 15 s")),
    ("provider-down", apple("8 attempts, the last: ServiceUnavailable")),
    ("too-many-pushes", google("QUOTA_EXCEEDED")),
    ("app-unknown", Case(said="unknown-app")),
    ("breaker-open", Case(said="breaker open: something new")),
]


@pytest.mark.parametrize(("name", "case"), CERTAIN, ids=[f"{name}-{n}" for n, (name, _) in enumerate(CERTAIN)])
def test_a_mistake_is_known_by_how_it_shows(name: str, case: Case) -> None:
    (found,) = diagnose(case)

    assert name == found.mistake.name
    assert found.certain


def test_a_refused_signature_leaves_several_mistakes_the_likeliest_first() -> None:
    found = diagnose(apple("InvalidProviderToken"))

    assert ["key-id-mistyped", "clock-wrong-at-apple", "key-of-another-team", "key-revoked"] == [
        finding.mistake.name for finding in found
    ]
    assert not any(finding.certain for finding in found)


def test_a_key_id_that_the_file_s_name_confirms_is_not_doubted() -> None:
    found = diagnose(apple("InvalidProviderToken", by_key(key_file="config/AuthKey_KEY1234567.p8")))

    assert ["clock-wrong-at-apple", "key-of-another-team", "key-revoked"] == [it.mistake.name for it in found]


def test_what_opened_a_breaker_is_told_and_not_the_breaker() -> None:
    (found,) = diagnose(apple("breaker open: BadEnvironmentKeyIdInToken"))

    assert "key-for-other-environment" == found.mistake.name


def test_what_nobody_knows_has_no_explanation() -> None:
    assert () == diagnose(apple("SomethingNewFromApple"))


def test_there_are_more_than_the_twenty_usual_ones_and_each_is_tried_here() -> None:
    tried = {name for name, _ in CERTAIN} | {"key-of-another-team", "key-revoked"}

    assert {mistake.name for mistake in MISTAKES} == tried
    assert 20 <= len(MISTAKES)
    assert len(MISTAKES) == len({mistake.name for mistake in MISTAKES})


def test_words_for_an_operator_say_what_it_means_and_what_to_do() -> None:
    said = " ".join("\n".join(in_words(diagnose(apple("DeviceTokenNotForTopic")))).split())

    assert "The token belongs to another app." in said
    assert "What to do: Set topic to the bundle ID of that build" in said


def test_the_token_of_a_case_is_in_no_words_and_no_repr() -> None:
    case = apple("malformed", token="<c0ffee c0ffee>")

    assert "c0ffee" not in repr(case)
    assert "c0ffee" not in "".join(in_words(diagnose(case)))
