"""Mistakes with Google (FCM HTTP v1, `ErrorCode`; RFC 7523 for the token endpoint)."""

from __future__ import annotations

from typing import Final

from workers.push.mistakes.case import Case, is_of_apns, is_skewed
from workers.push.mistakes.mistake import Mistake
from workers.push.settings import FCM


def _is_api_disabled(case: Case) -> bool:
    return "SERVICE_DISABLED" in case.said


GOOGLE: Final[tuple[Mistake, ...]] = (
    Mistake(
        name="not-a-service-account",
        title="The file is not a service account's",
        shows="`is not the JSON file of a service account`",
        means='google-services.json and GoogleService-Info.plist belong into apps, and the "server key" of former '
        "years is no longer taken.",
        remedy="In the Firebase console, Project settings, Service accounts: Generate new private key.",
        providers=(FCM,),
        said=r"is not the JSON file of a service account|has no project_id|google-services\.json",
    ),
    Mistake(
        name="service-account-of-another-project",
        title="The service account is of another project",
        shows="`SENDER_ID_MISMATCH`",
        means="The app was built with the google-services.json of one project, and pushes are sent by another.",
        remedy="Use a service account of the project whose google-services.json is in the app.",
        providers=(FCM,),
        said=r"\bSENDER_ID_MISMATCH\b",
    ),
    Mistake(
        name="api-disabled",
        title="The Firebase Cloud Messaging API is off",
        shows="`PERMISSION_DENIED` with the detail `SERVICE_DISABLED`",
        means="The project exists and the account is good, but the API was never switched on for it.",
        remedy='Enable "Firebase Cloud Messaging API" (fcm.googleapis.com) of this project in the Google Cloud '
        "console; it takes some minutes.",
        providers=(FCM,),
        said=r"\bSERVICE_DISABLED\b|has not been used in project|it is disabled",
        proof=_is_api_disabled,
    ),
    Mistake(
        name="role-missing",
        title="The service account may not send messages",
        shows="`PERMISSION_DENIED`, often with `cloudmessaging.messages.create`",
        means="It lacks the role, or the project in its file does not exist any more.",
        remedy='In the Google Cloud console, IAM: give it "Firebase Cloud Messaging API Admin" '
        "(roles/firebasecloudmessaging.admin).",
        providers=(FCM,),
        said=r"\bPERMISSION_DENIED\b",
        unless=_is_api_disabled,
    ),
    Mistake(
        name="service-account-key-deleted",
        title="The service account's key was deleted",
        shows="`invalid_grant`: Invalid JWT Signature",
        means="The key in the file is not among the account's keys any more: deleted, expired by a policy, or the file "
        "was edited.",
        remedy="Generate a new private key and: wakegate push add-app NAME --replace --service-account-file …",
        providers=(FCM,),
        said=r"Invalid JWT Signature",
    ),
    Mistake(
        name="service-account-deleted",
        title="The service account was deleted or disabled",
        shows="`invalid_grant`: account not found; `disabled_client`",
        means="Google does not know its address any more.",
        remedy="Make another in the same project, with the role, and put its file in place.",
        providers=(FCM,),
        said=r"account not found|disabled_client|invalid_client|deleted_client|Not a valid email",
    ),
    Mistake(
        name="clock-wrong-at-google",
        title="This machine's clock is wrong (Google)",
        shows="`invalid_grant`: Invalid JWT: Token must be a short-lived token",
        means="The request for an access token says when it was made. Google refuses one that is minutes off.",
        remedy="Let the clock be set by NTP (timedatectl set-ntp true), and check it in containers and after a machine "
        "slept.",
        providers=(FCM,),
        said=r"short-lived token|reasonable timeframe|expired or not yet valid",
        proof=lambda case: is_skewed(case) or "short-lived" in case.said,
    ),
    Mistake(
        name="access-token-refused",
        title="Google does not take the access token",
        shows="`UNAUTHENTICATED`, twice in a row",
        means="A new access token was fetched and is refused as well: it is for another universe or was revoked, or a "
        "proxy takes the Authorization header away.",
        remedy="Look at token_uri and universe_domain in the file, and at proxies.",
        providers=(FCM,),
        said=r"\bUNAUTHENTICATED\b",
    ),
    Mistake(
        name="key-at-firebase-missing",
        title="Firebase has no good APNs key for this iPhone app",
        shows="`THIRD_PARTY_AUTH_ERROR`",
        means="The token is of an iPhone app; Firebase would push through Apple, with a key that you gave to Firebase.",
        remedy="Firebase console, Cloud Messaging: upload the APNs key. Or let the app register Apple's token and push "
        "to Apple directly.",
        providers=(FCM,),
        said=r"\bTHIRD_PARTY_AUTH_ERROR\b",
    ),
    Mistake(
        name="fcm-token-malformed",
        title="Google does not know such a token",
        shows="`INVALID_ARGUMENT message.token`",
        means="It is cut off, or is something else: an installation id, or the token of another push service.",
        remedy="Log what Firebase's Messaging.getToken gives, and compare it with what is registered.",
        providers=(FCM,),
        said=r"INVALID_ARGUMENT message\.token|^malformed$",
        unless=lambda case: is_of_apns(case.token),
    ),
    Mistake(
        name="project-not-found",
        title="The project is not there",
        shows="`NOT_FOUND`",
        means="`project_id` in the service account's file names no project, or `endpoint` is another server.",
        remedy="Take a new file from the Firebase console; look at endpoint.",
        providers=(FCM,),
        said=r"\bNOT_FOUND\b|status 404",
    ),
)
