"""Mistakes with what a client registers, and with who may reach whom: the same for all providers."""

from __future__ import annotations

from typing import Final

from workers.push.mistakes.case import is_decorated, is_of_apns, is_of_fcm, is_of_web_push
from workers.push.mistakes.mistake import Mistake
from workers.push.settings import APNS, FCM

TOKENS: Final[tuple[Mistake, ...]] = (
    Mistake(
        name="token-with-decoration",
        title="The token has blanks, brackets or quotes in it",
        shows="`malformed`; the app sends the *description* of the token, `<80a3… f1>`",
        means="iOS gives the token as bytes; printing the object gives text that no server takes.",
        remedy='In the app, join the bytes as hexadecimal digits: token.map { String(format: "%02x", $0) }.joined().',
        proof=lambda case: is_decorated(case.token),
        alone=True,
    ),
    Mistake(
        name="fcm-token-at-apns",
        title="A token of Google's was given to Apple",
        shows="`malformed` or `BadDeviceToken`, and the token is long and has letters beyond f, often `:APA91`",
        means="The iPhone app uses Firebase's SDK and registered what that gave it, not Apple's device token.",
        remedy="Register the token of didRegisterForRemoteNotificationsWithDeviceToken, or register under an app with "
        'provider = "fcm".',
        providers=(APNS,),
        proof=lambda case: is_of_fcm(case.token) or is_of_web_push(case.token),
        alone=True,
    ),
    Mistake(
        name="apns-token-at-fcm",
        title="A token of Apple's was given to Google",
        shows="`INVALID_ARGUMENT message.token` or `UNREGISTERED`, and the token is 64 hexadecimal digits",
        means="The app registered Apple's device token under an app whose provider is fcm.",
        remedy='Register it under an app with provider = "apns", or take the token from Firebase\'s Messaging.token.',
        providers=(FCM,),
        proof=lambda case: is_of_apns(case.token),
        alone=True,
    ),
)

NETWORK: Final[tuple[Mistake, ...]] = (
    Mistake(
        name="connection-blocked",
        title="A firewall or proxy lets nothing through",
        shows="`cannot connect to api.push.apple.com:443`: timed out, refused or unreachable",
        means="Pushes go out to api.push.apple.com and api.sandbox.push.apple.com (443), fcm.googleapis.com and "
        "oauth2.googleapis.com (443) and the addresses of browsers' push services. An HTTP proxy is not used.",
        remedy="Allow these outwards. For Apple, port 2197 does as well: endpoint = "
        '"https://api.push.apple.com:2197" (and sandbox_endpoint).',
        said=r"cannot connect to .*(timed out|refused|unreachable|reset|No route|prohibited|EOF)|no connection within",
    ),
    Mistake(
        name="name-not-found",
        title="The provider's name cannot be looked up",
        shows="`cannot connect to …: Name or service not known`",
        means="DNS does not work on this machine, or `endpoint` is mistyped.",
        remedy="Try: getent hosts api.push.apple.com. Look at endpoint and /etc/resolv.conf.",
        said=r"Name or service not known|name resolution|No address associated|nodename nor servname|DNS",
    ),
    Mistake(
        name="tls-intercepted",
        title="Something on the way opens the TLS connection",
        shows="`CERTIFICATE_VERIFY_FAILED`",
        means="A proxy or virus scanner shows a certificate of its own, or the system's list of authorities is missing "
        "or too old. (The sandbox' certificate is its own as well: ca_file.)",
        remedy="Exempt the providers' addresses from inspection; else name the inspecting authority in ca_file. "
        "Install ca-certificates.",
        said=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|unable to get local issuer",
    ),
    Mistake(
        name="no-http2",
        title="Something on the way does not speak HTTP/2",
        shows="`does not speak HTTP/2`, `WRONG_VERSION_NUMBER`",
        means="APNs is HTTP/2 only. What answered is a proxy, or `endpoint` is the address of something else.",
        remedy="Connect directly; look at endpoint.",
        said=r"does not speak HTTP/2|WRONG_VERSION_NUMBER|wrong version number",
    ),
    Mistake(
        name="provider-slow",
        title="The provider does not answer in time",
        shows="`no answer within 15 s`",
        means="The connection is there and nothing comes back: a stateful firewall that forgot it, or an outage.",
        remedy="Look at the provider's status page. Pushes wait and are tried again until they expire.",
        said=r"no answer within [\d.]+ s(?!: cannot connect)",
    ),
    Mistake(
        name="provider-down",
        title="The provider has a fault",
        shows="`ServiceUnavailable`, `InternalServerError`, `UNAVAILABLE`, `INTERNAL`, `status 502`",
        means="No mistake of yours.",
        remedy="Nothing: pushes wait and are tried again until they expire.",
        said=r"\b(ServiceUnavailable|InternalServerError|Shutdown|UNAVAILABLE|INTERNAL|status 5\d\d)\b"
        r"|token endpoint answered 5",
    ),
    Mistake(
        name="too-many-pushes",
        title="Too many pushes",
        shows="`TooManyRequests`, `QUOTA_EXCEEDED`, `RESOURCE_EXHAUSTED`, `status 429`",
        means="Of one device (Apple, Web Push), or of a device or project (Google).",
        remedy="Raise [push] floor. They are sent later by themselves.",
        said=r"\b(TooManyRequests|QUOTA_EXCEEDED|RESOURCE_EXHAUSTED|status 429|status 507|resource-constraint)\b",
    ),
    Mistake(
        name="app-unknown",
        title="Devices are registered for an app that is not configured",
        shows="`unknown-app`",
        means="There was a [push.apps.NAME] of that name when they registered, and it was renamed or removed.",
        remedy="Add it again under its old name: that is what phones keep.",
        said=r"\bunknown-app\b",
    ),
    Mistake(
        name="breaker-open",
        title="The credential was refused or its provider failed before, and nothing is asked for now",
        shows="`breaker open: …`",
        means="What stands behind the colon made it so. One push at a time is tried until one succeeds.",
        remedy="See to that reason; it ends by itself within 15 minutes after it is repaired.",
        said=r"^breaker open",
        last=True,
    ),
)
