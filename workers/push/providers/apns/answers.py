"""What APNs answers and what follows from it, as data (Apple, "Handling notification responses from APNs")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from workers.push.backoff import retry_after_s
from workers.push.outcome import Delivered, Later, Refused, TokenGone
from workers.push.reaction import Action, Health, Reaction, named
from workers.push.reply import Reply


def _our_fault(reason: str) -> Reaction:
    return Reaction(Refused(reason, alert=True))


def _credential(reason: str) -> Reaction:
    return Reaction(Later(None, reason, alert=True), health=Health.CREDENTIAL_FAULT)


def _server(reason: str, action: Action = Action.NONE) -> Reaction:
    return Reaction(Later(None, reason), action, Health.SERVER_FAULT)


TOKEN_PAUSE_S: Final = 1200.0
"""Apple allows a new provider token every 20 minutes."""

DEVICE_PAUSE_S: Final = 60.0
"""TooManyRequests is about one device; others go on."""

ANSWERS: Final[Mapping[tuple[int, str], Reaction]] = {
    (400, "BadCollapseId"): _our_fault("BadCollapseId"),
    (400, "BadDeviceToken"): Reaction(TokenGone(None, "BadDeviceToken"), Action.OTHER_ENVIRONMENT),
    (400, "BadExpirationDate"): _our_fault("BadExpirationDate"),
    (400, "BadMessageId"): _our_fault("BadMessageId"),
    (400, "BadPriority"): _our_fault("BadPriority"),
    (400, "BadTopic"): _our_fault("BadTopic"),
    # Not pruned: this is a mistake in the configuration, or an app that moved to another team, and it hits all devices
    # at once.
    (400, "DeviceTokenNotForTopic"): _our_fault("DeviceTokenNotForTopic"),
    (400, "DuplicateHeaders"): _our_fault("DuplicateHeaders"),
    (400, "IdleTimeout"): Reaction(Later(None, "IdleTimeout"), Action.RECONNECT),
    (400, "InvalidPushType"): _our_fault("InvalidPushType"),
    (400, "MissingDeviceToken"): _our_fault("MissingDeviceToken"),
    (400, "MissingTopic"): _our_fault("MissingTopic"),
    (400, "PayloadEmpty"): _our_fault("PayloadEmpty"),
    (400, "TopicDisallowed"): _our_fault("TopicDisallowed"),
    (403, "BadCertificate"): _credential("BadCertificate"),
    (403, "BadCertificateEnvironment"): _credential("BadCertificateEnvironment"),
    (403, "BadEnvironmentKeyIdInToken"): _credential("BadEnvironmentKeyIdInToken"),
    (403, "ExpiredProviderToken"): Reaction(Later(None, "ExpiredProviderToken"), Action.NEW_TOKEN),
    (403, "Forbidden"): _credential("Forbidden"),
    (403, "InvalidProviderToken"): _credential("InvalidProviderToken"),
    (403, "MissingProviderToken"): _credential("MissingProviderToken"),
    (403, "UnrelatedKeyIdInToken"): Reaction(
        Later(None, "UnrelatedKeyIdInToken", alert=True), Action.RECONNECT, Health.CREDENTIAL_FAULT
    ),
    (404, "BadPath"): _our_fault("BadPath"),
    (405, "MethodNotAllowed"): _our_fault("MethodNotAllowed"),
    (410, "ExpiredToken"): Reaction(TokenGone(None, "ExpiredToken")),
    (410, "Unregistered"): Reaction(TokenGone(None, "Unregistered")),
    (413, "PayloadTooLarge"): Reaction(Refused("PayloadTooLarge", alert=True), Action.SHRINK),
    (429, "TooManyProviderTokenUpdates"): Reaction(
        Later(TOKEN_PAUSE_S, "TooManyProviderTokenUpdates", alert=True), Action.PREVIOUS_TOKEN
    ),
    (429, "TooManyRequests"): Reaction(Later(DEVICE_PAUSE_S, "TooManyRequests")),
    # Users saw this one persist until they reconnected: `Client.note` does, after some in a row.
    (500, "InternalServerError"): _server("InternalServerError"),
    (503, "ServiceUnavailable"): _server("ServiceUnavailable"),
    (503, "Shutdown"): _server("Shutdown", Action.RECONNECT_ONLY),
}

LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, beyond which there are no dates."""


class _Body(msgspec.Struct):
    reason: str = ""
    timestamp: int | float | None = None


_decoder: Final = msgspec.json.Decoder(_Body)


def react(reply: Reply, *, now: float) -> Reaction:
    """The reaction to an answer. One that is not in the table is judged by its class: 5xx and nonsense may pass, 410 is
    a dead token, 429 waits, another 4xx is ours. `now` (UNIX seconds) is for a Retry-After that is a date.
    """
    if reply.status == 200:
        return Reaction(Delivered(reply.headers.get("apns-id", "")))
    reason, at_ms = _read(reply.body)
    reaction = ANSWERS.get((reply.status, reason)) or _by_class(reply.status, reason)
    if isinstance(reaction.outcome, TokenGone):
        return Reaction(TokenGone(at_ms, reaction.outcome.reason), reaction.action, reaction.health)
    wish = retry_after_s(reply.headers.get("retry-after"), now=now) if reply.status in (429, 503) else None
    if wish is not None and isinstance(reaction.outcome, Later) and not reaction.outcome.alert:
        return replace(reaction, outcome=replace(reaction.outcome, after_s=wish))
    return reaction


def _by_class(status: int, reason: str) -> Reaction:
    name = named(reason, status)
    if status == 410:
        return Reaction(TokenGone(None, name))
    if status == 429:
        return Reaction(Later(DEVICE_PAUSE_S, name))
    if status == 403:
        return _credential(name)
    if 400 <= status < 500:
        return _our_fault(name)
    return _server(name)


def _read(body: bytes) -> tuple[str, int | None]:
    if not body:
        return "", None
    try:
        said = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", None
    return said.reason, None if said.timestamp is None or not 0 <= said.timestamp <= LATEST_MS else int(said.timestamp)
