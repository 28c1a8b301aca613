"""The FCM v1 message type as a table, and proto3 JSON as strictly as Google's front end reads it.

Both spellings of a name are taken (camelCase and snake_case), an unknown name or a wrong type is a violation that names
the field. Source: "REST Resource: projects.messages" of the FCM v1 reference.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from workers.sandbox.fcm.errors import Violation, invalid_json

# A field's type is a name of _SCALARS, "object" (google.protobuf.Struct), "map" (string to string), an enumeration
# (frozenset), a message (dict), or a list with one of them in it.
Type = str | frozenset[str] | list[Any] | dict[str, Any]

_COLOR: dict[str, Any] = {"red": "number", "green": "number", "blue": "number", "alpha": "number"}
_LIGHT: dict[str, Any] = {"color": _COLOR, "lightOnDuration": "duration", "lightOffDuration": "duration"}
_ANDROID_NOTIFICATION: dict[str, Any] = {
    "title": "string",
    "body": "string",
    "icon": "string",
    "color": "string",
    "sound": "string",
    "tag": "string",
    "clickAction": "string",
    "bodyLocKey": "string",
    "bodyLocArgs": ["string"],
    "titleLocKey": "string",
    "titleLocArgs": ["string"],
    "channelId": "string",
    "ticker": "string",
    "sticky": "bool",
    "eventTime": "timestamp",
    "localOnly": "bool",
    "notificationPriority": frozenset(
        {
            "PRIORITY_UNSPECIFIED",
            "PRIORITY_MIN",
            "PRIORITY_LOW",
            "PRIORITY_DEFAULT",
            "PRIORITY_HIGH",
            "PRIORITY_MAX",
        }
    ),
    "defaultSound": "bool",
    "defaultVibrateTimings": "bool",
    "defaultLightSettings": "bool",
    "vibrateTimings": ["duration"],
    "visibility": frozenset({"VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"}),
    "notificationCount": "integer",
    "lightSettings": _LIGHT,
    "image": "string",
    "bypassProxyNotification": "bool",
    "proxy": frozenset({"PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"}),
}
_ANDROID: dict[str, Any] = {
    "collapseKey": "string",
    "priority": frozenset({"NORMAL", "HIGH"}),
    "ttl": "duration",
    "restrictedPackageName": "string",
    "data": "map",
    "notification": _ANDROID_NOTIFICATION,
    "fcmOptions": {"analyticsLabel": "string"},
    "directBootOk": "bool",
    "bandwidthConstrainedOk": "bool",
    "restrictedSatelliteOk": "bool",
}
_WEBPUSH: dict[str, Any] = {
    "headers": "map",
    "data": "map",
    "notification": "object",
    "fcmOptions": {"link": "string", "analyticsLabel": "string"},
}
_APNS: dict[str, Any] = {
    "headers": "map",
    "payload": "object",
    "fcmOptions": {"analyticsLabel": "string", "image": "string"},
    "liveActivityToken": "string",
}
_MESSAGE: dict[str, Any] = {
    "name": "string",
    "data": "map",
    "notification": {"title": "string", "body": "string", "image": "string"},
    "android": _ANDROID,
    "webpush": _WEBPUSH,
    "apns": _APNS,
    "fcmOptions": {"analyticsLabel": "string"},
    "token": "string",
    "fid": "string",
    "topic": "string",
    "condition": "string",
}
REQUEST: dict[str, Any] = {"validateOnly": "bool", "message": _MESSAGE}

_DURATION = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?s")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})")
_CAMEL = re.compile(r"_([a-z0-9])")

_SCALARS: Mapping[str, str] = {
    "string": "TYPE_STRING",
    "bool": "TYPE_BOOL",
    "integer": "TYPE_INT32",
    "number": "TYPE_FLOAT",
    "duration": "type.googleapis.com/google.protobuf.Duration",
    "timestamp": "type.googleapis.com/google.protobuf.Timestamp",
}


def read_request(value: Any) -> dict[str, Any]:
    """The body of messages:send with all names in camelCase. Raises FcmRefusal with every violation there is."""
    if not isinstance(value, dict):
        raise invalid_json(Violation("", "Invalid JSON payload received. Root element must be a message."))
    normal = _camel_names(value, REQUEST)
    violations = tuple(_violations(normal, REQUEST, ""))
    if violations:
        raise invalid_json(*violations)
    return normal


def duration_s(text: str) -> float:
    """Seconds of a proto3 JSON duration such as "3.5s"."""
    return float(text.removesuffix("s"))


def _camel_names(value: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Rename known members to camelCase, at every level that the schema describes."""
    result: dict[str, Any] = {}
    for name, member in value.items():
        camel = _CAMEL.sub(lambda match: match.group(1).upper(), name)
        known = camel if camel in schema else name
        inner = schema.get(known)
        if member is None and known in schema:
            # proto3 JSON: null stands for the default, as if the member were not there.
            continue
        is_message = isinstance(inner, dict) and isinstance(member, dict)
        result[known] = _camel_names(member, schema[known]) if is_message else member
    return result


def _violations(value: dict[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[Violation]:
    for name, member in value.items():
        place = f"{path}.{name}" if path else name
        if name not in schema:
            at = f" at '{path}'" if path else ""
            text = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            yield Violation(path, text)
            continue
        yield from _violations_of(member, schema[name], place)


def _violations_of(value: Any, kind: Type, place: str) -> Iterator[Violation]:
    if isinstance(kind, dict):
        if isinstance(value, dict):
            yield from _violations(value, kind, place)
        else:
            yield _invalid(place, "message", value)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield _invalid(place, "list", value)
            return
        for number, item in enumerate(value):
            yield from _violations_of(item, kind[0], f"{place}[{number}]")
    elif isinstance(kind, frozenset):
        # The front end compares names of enumerations without regard to case; numbers are taken as well.
        is_name = isinstance(value, str) and value.upper() in kind
        if not is_name and not (isinstance(value, int) and 0 <= value < len(kind)):
            yield _invalid(place, "enum", value)
    elif kind == "object":
        if not isinstance(value, dict):
            yield _invalid(place, "type.googleapis.com/google.protobuf.Struct", value)
    elif kind == "map":
        yield from _map_violations(value, place)
    elif not _is_scalar(value, kind):
        yield _invalid(place, _SCALARS[kind], value)


def _map_violations(value: Any, place: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield _invalid(place, "map", value)
        return
    for number, member in enumerate(value.values()):
        if not isinstance(member, str):
            yield _invalid(f"{place}[{number}].value", "TYPE_STRING", member)


def _is_scalar(value: Any, kind: str) -> bool:
    match kind:
        case "bool":
            return isinstance(value, bool) or value in ("true", "false")
        case "integer":
            return _is_int32(value)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "duration":
            return isinstance(value, str) and _DURATION.fullmatch(value) is not None
        case "timestamp":
            return isinstance(value, str) and _TIMESTAMP.fullmatch(value) is not None
        case _:
            return isinstance(value, str)


def _is_int32(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"-?[0-9]{1,10}", value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def _invalid(place: str, kind: str, value: Any) -> Violation:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Violation(place, f"Invalid value at '{place}' ({kind}), {shown[:200]}")
