"""What FCM demands of a message that is well-formed: one target, data keys, size, time to live."""

import json
import re
from typing import Any

from workers.sandbox.deliveries import Push
from workers.sandbox.fcm.errors import invalid_message
from workers.sandbox.fcm.schema import duration_s
from workers.sandbox.record import ReceivedPush

SIZE_LIMIT = 4096
TOPIC_SIZE_LIMIT = 2048
TTL_LIMIT_S = 2_419_200
TARGETS = ("token", "fid", "topic", "condition")

_TOPIC = re.compile(r"[a-zA-Z0-9\-_.~%]{1,900}")
_RESERVED_KEYS = ("from", "message_type")
_RESERVED_PREFIXES = ("google.", "gcm.")


def check_message(message: dict[str, Any]) -> tuple[str, str]:
    """Check a message with camelCase names; returns its kind of target and the target. Raises FcmRefusal."""
    kind, target = _target(message)
    for place in ("", "android."):
        part = message.get("android", {}) if place else message
        _check_data(part.get("data", {}), f"message.{place}data")
    _check_ttl(message.get("android", {}).get("ttl"))
    limit = SIZE_LIMIT if kind in ("token", "fid") else TOPIC_SIZE_LIMIT
    if payload_size(message) > limit:
        raise invalid_message("message", f"Message is too big: the limit is {limit} bytes")
    return kind, target


def _target(message: dict[str, Any]) -> tuple[str, str]:
    given = [kind for kind in TARGETS if message.get(kind)]
    if not given:
        raise invalid_message("message", "Recipient of the message is not set.")
    if len(given) > 1:
        # A oneof of the message type: proto3 JSON admits one member of it.
        raise invalid_message("message", f"Only one recipient may be set, got: {', '.join(given)}")
    kind = given[0]
    target = str(message[kind])
    if kind == "topic" and not _TOPIC.fullmatch(target.removeprefix("/topics/")):
        raise invalid_message("message.topic", "Invalid topic name")
    return kind, target


def _check_data(data: dict[str, str], place: str) -> None:
    for key in data:
        if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
            raise invalid_message(place, f"Invalid data payload key: {key}")


def _check_ttl(ttl: str | None) -> None:
    if ttl is not None and not 0 <= duration_s(ttl) <= TTL_LIMIT_S:
        raise invalid_message("message.android.ttl", f"TTL must be between 0 and {TTL_LIMIT_S} seconds")


def payload_size(message: dict[str, Any]) -> int:
    """Bytes that count against FCM's limit: what goes to the device, not how or to whom."""
    android = message.get("android", {})
    data = {**message.get("data", {}), **android.get("data", {})}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in data.items())
    notification = {**message.get("notification", {}), **android.get("notification", {})}
    size += sum(len(key.encode()) + _value_size(value) for key, value in notification.items())
    apns = message.get("apns", {}).get("payload")
    return max(size, _value_size(apns) if apns else 0)


def slot_of(message: dict[str, Any]) -> str:
    """What a collapsible message replaces ("Message types": notifications always are collapsible), "" for others."""
    android = message.get("android", {})
    if key := android.get("collapseKey"):
        return str(key)
    has_notification = bool(message.get("notification") or android.get("notification"))
    return str(android.get("restrictedPackageName", "notification")) if has_notification else ""


def as_push(message: dict[str, Any], received: ReceivedPush, *, now: float) -> Push:
    """An accepted message to one device. Data messages are of normal priority unless they say otherwise."""
    android = message.get("android", {})
    ttl = android.get("ttl")
    slot = slot_of(message)
    return Push(
        provider="fcm",
        token=received.token,
        push=received.seq,
        push_id=received.push_id,
        slot=slot,
        collapse_id=str(android.get("notification", {}).get("tag", "")) or slot,
        is_urgent=_is_high(android.get("priority")),
        expires_at=now + (TTL_LIMIT_S if ttl is None else duration_s(ttl)),
        payload=message,
    )


def _is_high(priority: str | int | None) -> bool:
    # AndroidMessagePriority: NORMAL is 0, HIGH is 1; the front end takes names in any case, and numbers.
    return priority == 1 or str(priority).upper() == "HIGH"


def _value_size(value: Any) -> int:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(text.encode())
