"""Mistakes with Web Push (RFC 8030, RFC 8291, RFC 8292) and with XEP-0357 app servers."""

from __future__ import annotations

from typing import Final

from workers.push.mistakes.case import Case, is_of_apns, is_of_fcm
from workers.push.mistakes.mistake import Mistake

WEBPUSH: Final = "webpush"
APPSERVER: Final = "appserver"


def _is_subject_local(case: Case) -> bool:
    return case.app is not None and "localhost" in case.app.vapid_subject


WEB_PUSH: Final[tuple[Mistake, ...]] = (
    Mistake(
        name="vapid-subject-refused",
        title="The push service does not take the contact address",
        shows="403 (Apple: `BadJwtToken`), and vapid_subject names localhost",
        means="vapid_subject must be a mailto: or https: address that could be real; Apple refuses localhost.",
        remedy='Set vapid_subject = "mailto:push@your.domain".',
        providers=(WEBPUSH,),
        said=r"\bBadJwtToken\b|status 40[13]\b|vapid_subject:",
        proof=lambda case: _is_subject_local(case) or "vapid_subject:" in case.said,
        unless=lambda case: "status 40" in case.said and not _is_subject_local(case),
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
        name="vapid-halves-apart",
        title="The public key in the configuration is not that of the key file",
        shows="`vapid_public_key is not the public half of this key`",
        means="Clients would subscribe with one key, and pushes be signed with another: all would be refused.",
        remedy="Set vapid_public_key to the one that is named there; after a mix-up of files, put the former key back.",
        providers=(WEBPUSH,),
        said=r"vapid_public_key is not the public half",
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
        title="The endpoint leads where pushes may not go",
        shows="`endpoint address not public`, `endpoint not https`, `endpoint port not allowed`",
        means="Endpoints come from users. One that leads into your own network is refused, or anybody could make this "
        "server send requests there.",
        remedy="If the push service is meant to be there (a UnifiedPush server of yours): allow_private = true for "
        "this app.",
        providers=(WEBPUSH,),
        said=r"endpoint (address not public|not https|port not allowed)",
    ),
    Mistake(
        name="endpoint-malformed",
        title="The token is not the endpoint of a subscription",
        shows="`endpoint malformed`",
        means="For Web Push and UnifiedPush the token is the https: URL that the push service gave to the app.",
        remedy="Register subscription.endpoint as the token; tokens of Apple and Google need an app of their own.",
        providers=(WEBPUSH,),
        said=r"endpoint malformed",
        proof=lambda case: is_of_apns(case.token) or is_of_fcm(case.token),
        alone=True,
    ),
    Mistake(
        name="endpoint-moved",
        title="The push service sends us elsewhere",
        shows="`redirect 301`, `redirect 308`",
        means="A redirect is never followed: it may lead into your network, and the signature is of the first one.",
        remedy="Give the push service its final address (UnifiedPush: the server's URL in the distributor's settings).",
        providers=(WEBPUSH,),
        said=r"\bredirect 3\d\d\b",
    ),
    Mistake(
        name="subscription-keys-wrong",
        title="The subscription's keys are not whole",
        shows="`keys malformed`",
        means="The client must register the endpoint together with both keys of its subscription (RFC 8291).",
        remedy="Send p256dh and auth from subscription.toJSON().keys, unchanged.",
        providers=(WEBPUSH,),
        said=r"keys malformed|p256dh",
    ),
    Mistake(
        name="app-server-does-not-answer",
        title="The app server is not connected",
        shows="`remote-server-not-found`, `service-unavailable`, `remote-server-timeout`",
        means="Pushes for this registration go by XMPP to the JID that the client named (XEP-0357). Nobody is there.",
        remedy="Look whether its component is connected: wakegate status.",
        providers=(APPSERVER,),
        said=r"remote-server-not-found|remote-server-timeout|service-unavailable|internal-server-error",
    ),
    Mistake(
        name="app-server-does-not-know-the-node",
        title="The app server does not know the node, or its secret is wrong",
        shows="`item-not-found`, `forbidden`, `not-authorized`, `conflict`",
        means="The app registered at its app server anew, or that was set up afresh. The registration is removed.",
        remedy="Nothing here: the app enables push again, with what its app server gave it, when it is opened.",
        providers=(APPSERVER,),
        said=r"item-not-found|forbidden|not-authorized|not-allowed|registration-required|subscription-required|conflict"
        r"|\bgone\b",
    ),
)
