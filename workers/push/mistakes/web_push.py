"""Mistakes with Web Push (RFC 8030, RFC 8291, RFC 8292) and with XEP-0357 app servers."""

from __future__ import annotations

from typing import Final

from workers.push.mistakes.case import Case
from workers.push.mistakes.mistake import Mistake

WEBPUSH: Final = "webpush"
APPSERVER: Final = "appserver"


def _is_subject_local(case: Case) -> bool:
    return case.app is not None and "localhost" in case.app.vapid_subject


WEB_PUSH: Final[tuple[Mistake, ...]] = (
    Mistake(
        name="vapid-subject-refused",
        title="The push service does not take the contact address",
        shows="403 `BadJwtToken`",
        means="vapid_subject must be a mailto: or https: address that could be real; Apple refuses localhost.",
        remedy='Set vapid_subject = "mailto:push@your.domain".',
        providers=(WEBPUSH,),
        said=r"\bBadJwtToken\b|status 40[13]\b",
        proof=_is_subject_local,
        unless=lambda case: "BadJwtToken" not in case.said and not _is_subject_local(case),
    ),
    Mistake(
        name="vapid-key-changed",
        title="The VAPID key is not the one that the browser subscribed with",
        shows="403, or 400 `VapidPkHashMismatch`",
        means="A subscription belongs to one key. After a new key all subscriptions of before are refused.",
        remedy="Put the former key back; or let the app unsubscribe and subscribe again with the new public key.",
        providers=(WEBPUSH,),
        said=r"\bVapidPkHashMismatch\b|status 40[13]\b|Forbidden|Unauthorized",
    ),
    Mistake(
        name="endpoint-gone",
        title="The subscription has ended",
        shows="404 or 410",
        means="No mistake of yours: the user took the permission back, cleared the browser's data, or the distributor "
        "was removed.",
        remedy="Nothing: the registration is removed. The app subscribes again when it is opened.",
        providers=(WEBPUSH,),
        said=r"status (404|410)\b|\bGone\b|\bgone\b",
    ),
    Mistake(
        name="endpoint-private",
        title="The endpoint is in a private network",
        shows="`private` or `not allowed` address",
        means="Endpoints come from users. One that leads into your own network is refused, or anybody could make this "
        "server send requests there.",
        remedy="If the push service is meant to be there (a UnifiedPush server of yours): allow_private = true for "
        "this app.",
        providers=(WEBPUSH,),
        said=r"private|not public|forbidden address|loopback",
    ),
    Mistake(
        name="subscription-keys-wrong",
        title="The subscription's keys are not whole",
        shows="`p256dh`, `auth`",
        means="The client must register the endpoint together with both keys of its subscription (RFC 8291).",
        remedy="Send p256dh and auth from subscription.toJSON().keys, unchanged.",
        providers=(WEBPUSH,),
        said=r"p256dh|\bauth secret\b",
    ),
    Mistake(
        name="app-server-does-not-answer",
        title="The app server is not connected",
        shows="`remote-server-not-found`, `service-unavailable`, `remote-server-timeout`",
        means="Pushes for this registration go by XMPP to the JID that the client named (XEP-0357). Nobody is there.",
        remedy="Look whether its component is connected: wakegate status.",
        providers=(APPSERVER,),
        said=r"remote-server-not-found|remote-server-timeout|service-unavailable|recipient-unavailable",
    ),
)
