"""Mistakes with Apple: keys and certificates (Apple, "Establishing a token-based connection to APNs")."""

from __future__ import annotations

from typing import Final

from workers.push.mistakes.case import Case, is_skewed
from workers.push.mistakes.mistake import Mistake
from workers.push.settings import APNS


def _is_key_id_another(case: Case) -> bool:
    return case.app is not None and case.key_id_of_file not in ("", case.app.key_id)


def _is_key_id_out_of_question(case: Case) -> bool:
    """There is none, or the file's name confirms it."""
    return case.is_by_certificate or (case.app is not None and case.key_id_of_file == case.app.key_id != "")


def _by_key(case: Case) -> bool:
    return not case.is_by_certificate


def _by_certificate(case: Case) -> bool:
    return case.is_by_certificate


APPLE_CREDENTIALS: Final[tuple[Mistake, ...]] = (
    Mistake(
        name="key-for-other-topics",
        title="The key is for other apps only",
        shows="`TopicDisallowed` with a key",
        means="Keys can be limited to topics when they are made. This one does not cover `topic`.",
        remedy="At developer.apple.com, Keys: add the topic to the key, or make a team-scoped one, and put its file, "
        "key_id here.",
        providers=(APNS,),
        said=r"\bTopicDisallowed\b",
        unless=_by_certificate,
    ),
    Mistake(
        name="certificate-of-another-app",
        title="The certificate is of another app",
        shows="`TopicDisallowed` or `BadCertificate` with a certificate; `is for …, not for topic`",
        means="A push certificate holds the topics it is for; `topic` is none of them.",
        remedy="Use the certificate that was made for this bundle ID, or a key, which serves all apps of a team.",
        providers=(APNS,),
        said=r"\b(TopicDisallowed|BadCertificate)\b|is for .+, not for topic",
        unless=_by_key,
    ),
    Mistake(
        name="certificate-for-other-environment",
        title="The certificate is for the other environment",
        shows="`BadCertificateEnvironment`; `is not for production`",
        means='A development certificate does not work in production (a certificate for both is named "Apple Push '
        'Services").',
        remedy='Make a certificate of the type "Apple Push Notification service SSL (Sandbox & Production)", or use '
        "a key.",
        providers=(APNS,),
        said=r"\bBadCertificateEnvironment\b|is not for (production|sandbox)",
    ),
    Mistake(
        name="certificate-expired",
        title="The certificate has expired, or is not valid yet",
        shows="`expired on …`; the TLS alert `certificate expired`; `Forbidden`",
        means="Push certificates are good for about a year. Apple ends the connection.",
        remedy="Renew it at developer.apple.com and put the new file in place; or change to a key, which does not "
        "expire.",
        providers=(APNS,),
        said=r"(?i)certificate[ _]expired|certificate.*expired on|not valid before|\bForbidden\b",
        unless=lambda case: case.app is not None and _by_key(case),
    ),
    Mistake(
        name="certificate-without-key",
        title="The certificate file has no private key, or a password",
        shows="`does not hold a certificate and its private key`",
        means="What Apple lets you download is the certificate alone; the private key is in the keychain it was "
        "requested from. An exported .p12 is not PEM.",
        remedy="Export both from Keychain Access as .p12, then: openssl pkcs12 -in push.p12 -nodes -out push.pem",
        said=r"does not hold a certificate and its private key|PKCS #12",
    ),
    Mistake(
        name="key-file-wrong",
        title="The key file is not Apple's .p8 file",
        shows="`is not a private key in PEM form`, `is not an EC P-256 key`",
        means="APNs takes an EC P-256 key, which Apple hands out once, as AuthKey_XXXXXXXXXX.p8. A certificate, a "
        ".p12, a public key or a TLS key does not do.",
        remedy='Make a key for "Apple Push Notifications service" at developer.apple.com, Keys, and download it.',
        said=r"is not a private key in PEM form|is not an EC P-256 key",
    ),
    Mistake(
        name="key-id-mistyped",
        title="The key id is not that of the file",
        shows="`InvalidProviderToken`, and the file is named AuthKey_ and another id",
        means="The token names a key that it is not signed with.",
        remedy="Set key_id to the ten characters in the name of the file as Apple gave it; or see developer.apple.com, "
        "Keys.",
        providers=(APNS,),
        said=r"\bInvalidProviderToken\b",
        proof=_is_key_id_another,
        unless=_is_key_id_out_of_question,
        alone=True,
    ),
    Mistake(
        name="clock-wrong-at-apple",
        title="This machine's clock is wrong (Apple)",
        shows="`ExpiredProviderToken` for a new token; `InvalidProviderToken` when the clock is ahead",
        means="A provider token says when it was made. Apple refuses those older than an hour or of the future.",
        remedy="Let the clock be set by NTP (timedatectl set-ntp true), and check it in containers and after a "
        "machine slept.",
        providers=(APNS,),
        said=r"\b(ExpiredProviderToken|InvalidProviderToken)\b",
        proof=lambda case: is_skewed(case) or "ExpiredProviderToken" in case.said,
        unless=_by_certificate,
    ),
    Mistake(
        name="key-of-another-team",
        title="The key belongs to another team",
        shows="`InvalidProviderToken`",
        means="`team_id` is not the team whose account made the key: easily so when one login is in several teams.",
        remedy="Set team_id to the ten characters at developer.apple.com, Membership, of the team that owns the key "
        "and the app.",
        providers=(APNS,),
        said=r"\bInvalidProviderToken\b",
        unless=_by_certificate,
    ),
    Mistake(
        name="key-revoked",
        title="The key was revoked",
        shows="`InvalidProviderToken` from one moment on",
        means="Somebody revoked the key at developer.apple.com. All tokens that it signed are refused.",
        remedy="Make a new key, and: wakegate push add-app NAME --replace --key-file … Running workers take it over.",
        providers=(APNS,),
        said=r"\bInvalidProviderToken\b",
        unless=_by_certificate,
    ),
    Mistake(
        name="key-for-other-environment",
        title="The key is for the other environment",
        shows="`BadEnvironmentKeyIdInToken`",
        means="Keys can be limited to the sandbox or to production when they are made.",
        remedy='Use a key for `environment`, or one for both; with environment = "auto" it must be for both.',
        providers=(APNS,),
        said=r"\bBadEnvironmentKeyIdInToken\b",
    ),
    Mistake(
        name="another-sender-with-this-key",
        title="Something else makes provider tokens with the same key",
        shows="`TooManyProviderTokenUpdates`",
        means="Apple allows a new token every 20 minutes. Workers of one Redis share theirs; another installation, or "
        "an app server beside it, does not.",
        remedy="Give each installation its own key: a team may have two for each environment, and 200 that are "
        "limited to topics.",
        providers=(APNS,),
        said=r"\bTooManyProviderTokenUpdates\b",
    ),
)
