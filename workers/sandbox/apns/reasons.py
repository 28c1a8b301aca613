"""Apple's table of reasons ("Handling notification responses from APNs"), and device tokens that choose one.

A device token that begins with a key of PREFIXES gets that reason without anything being armed: `dead`, the status, and
the reason's place among those of its status. `dead4100` + 56 more hex digits is a device whose app was removed.
"""

from collections.abc import Mapping

STATUS_OF: Mapping[str, int] = {
    "BadDeviceToken": 400,
    "BadCollapseId": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "BadEnvironmentKeyIdInToken": 403,
    "ExpiredProviderToken": 403,
    "Forbidden": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "Unregistered": 410,
    "ExpiredToken": 410,
    "PayloadTooLarge": 413,
    "TooManyRequests": 429,
    "TooManyProviderTokenUpdates": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}

# "Handling error responses from Apple Push Notification service": what else a broadcast can meet, all with 400.
BROADCAST_REASONS = (
    "BadChannelId",
    "CannotCreateChannelConfig",
    "ChannelNotRegistered",
    "FeatureNotEnabled",
    "MissingChannelId",
    "MissingPushType",
    "TopicMismatch",
)


def _prefixes() -> dict[str, str]:
    prefixes: dict[str, str] = {}
    places: dict[int, int] = {}
    for reason, status in STATUS_OF.items():
        place = places.get(status, 0)
        places[status] = place + 1
        prefixes[f"dead{status}{place:x}"] = reason
    return prefixes


PREFIXES: Mapping[str, str] = _prefixes()
PREFIX_LENGTH = 8


def reason_by_prefix(token: str) -> str:
    """The reason that this device token asks for by its first digits, or ""."""
    return PREFIXES.get(token[:PREFIX_LENGTH].lower(), "")
