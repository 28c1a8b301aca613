"""What APNs demands of a request ("Sending notification requests to APNs"), apart from who sends it."""

import json
import re
import uuid
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from gateway.errors import WakegateError
from workers.sandbox.apns.reasons import STATUS_OF
from workers.sandbox.deliveries import Push
from workers.sandbox.devices import Device
from workers.sandbox.record import ReceivedPush

PAYLOAD_LIMIT = 4096
VOIP_PAYLOAD_LIMIT = 5120
COLLAPSE_ID_LIMIT = 64
STORAGE_S = 30 * 86400.0
DEVICE_PATH = "/3/device/"

# Push type -> what its topic ends with.
TOPIC_SUFFIXES: Mapping[str, str] = {
    "alert": "",
    "background": "",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "mdm": "",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}
# Headers that may occur once; all others are none of APNs' business.
SINGLE_HEADERS = frozenset(
    {
        "authorization",
        "apns-id",
        "apns-topic",
        "apns-push-type",
        "apns-priority",
        "apns-expiration",
        "apns-collapse-id",
    }
)

_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,255}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EXPIRATION = re.compile(r"-?[0-9]{1,18}")


class ApnsRefusal(WakegateError):
    """APNs' answer to a request it does not accept: a reason of Apple's table, with 410 a time in Unix milliseconds."""

    metric = "sandbox_apns_refusal"

    def __init__(self, reason: str, timestamp: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.timestamp = timestamp

    @property
    def status(self) -> int:
        """The HTTP status that goes with the reason."""
        return STATUS_OF.get(self.reason, 400)


@dataclass(frozen=True)
class ApnsRequest:
    """A complete request: line, headers (lower case, the first of each name), names that came twice, body."""

    method: str
    path: str
    headers: Mapping[str, str]
    repeated: Set[str]
    body: bytes

    @classmethod
    def of(cls, fields: list[tuple[str, str]], body: bytes) -> "ApnsRequest":
        """Sort an HTTP/2 header block."""
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        headers: dict[str, str] = {}
        for name, value in fields:
            if not name.startswith(":"):
                headers.setdefault(name, value)
        repeated = frozenset(name for name, times in Counter(name for name, _ in fields).items() if times > 1)
        return cls(pseudo.get(":method", ""), pseudo.get(":path", ""), headers, repeated, body)

    @property
    def token(self) -> str:
        """The device token of the path, "" if the path has none."""
        return self.path.removeprefix(DEVICE_PATH) if self.path.startswith(DEVICE_PATH) else ""

    @property
    def apns_id(self) -> str:
        """The request's apns-id (of a broadcast: apns-request-id) if it is a UUID, else a new one for the answer."""
        given = self.headers.get("apns-id") or self.headers.get("apns-request-id", "")
        return given if _UUID.fullmatch(given) else str(uuid.uuid4())

    def payload(self) -> Any:
        """The body as JSON values; text that is not JSON comes as a string, so that the record can show it."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode("utf-8", "replace")


def check_line(request: ApnsRequest) -> None:
    """Method and path. Raises ApnsRefusal."""
    if request.method != "POST":
        raise ApnsRefusal("MethodNotAllowed")
    if request.path.rstrip("/") == DEVICE_PATH.rstrip("/"):
        raise ApnsRefusal("MissingDeviceToken")
    if not request.token or "/" in request.token:
        raise ApnsRefusal("BadPath")
    if request.repeated & SINGLE_HEADERS:
        raise ApnsRefusal("DuplicateHeaders")


def check_headers(request: ApnsRequest, topic: str) -> None:
    """The apns-* headers of a push to `topic`, one after another. Raises ApnsRefusal."""
    headers = request.headers
    if not _TOPIC.fullmatch(topic):
        raise ApnsRefusal("BadTopic")
    push_type = headers.get("apns-push-type", "alert")
    if push_type not in TOPIC_SUFFIXES:
        raise ApnsRefusal("InvalidPushType")
    if not topic.endswith(TOPIC_SUFFIXES[push_type]):
        raise ApnsRefusal("BadTopic")
    if "apns-id" in headers and not _UUID.fullmatch(headers["apns-id"]):
        raise ApnsRefusal("BadMessageId")
    if not _EXPIRATION.fullmatch(headers.get("apns-expiration", "0")):
        raise ApnsRefusal("BadExpirationDate")
    priority = headers.get("apns-priority", "5" if push_type == "background" else "10")
    if priority not in ("1", "5", "10") or (push_type == "background" and priority == "10"):
        raise ApnsRefusal("BadPriority")
    if not 0 < len(headers.get("apns-collapse-id", "-").encode()) <= COLLAPSE_ID_LIMIT:
        raise ApnsRefusal("BadCollapseId")


def as_push(request: ApnsRequest, topic: str, received: ReceivedPush, *, now: float) -> Push:
    """An accepted push on its way to the device. Without apns-expiration it is kept for 30 days."""
    push_type = request.headers.get("apns-push-type", "alert")
    expiration = request.headers.get("apns-expiration")
    priority = request.headers.get("apns-priority", "5" if push_type == "background" else "10")
    return Push(
        provider="apns",
        token=received.token,
        push=received.seq,
        push_id=received.push_id,
        slot=topic.removesuffix(TOPIC_SUFFIXES.get(push_type, "")),
        collapse_id=request.headers.get("apns-collapse-id", ""),
        is_urgent=priority == "10",
        expires_at=now + STORAGE_S if expiration is None else float(expiration),
        payload=received.payload,
    )


def check_payload(request: ApnsRequest) -> None:
    """Size and form of the body. Raises ApnsRefusal.

    Apple's table has no reason for a body that is not a JSON object; PayloadEmpty says that it saw no payload in it.
    """
    limit = VOIP_PAYLOAD_LIMIT if request.headers.get("apns-push-type") == "voip" else PAYLOAD_LIMIT
    if len(request.body) > limit:
        raise ApnsRefusal("PayloadTooLarge")
    if not request.body or not isinstance(request.payload(), dict):
        raise ApnsRefusal("PayloadEmpty")


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Where a push wants to go."""

    token: str
    environment: str
    topic: str


def check_device(wanted: Delivery, device: Device | None, *, strict: bool) -> None:
    """The device token against the registry: `device` is what is known of it. Raises ApnsRefusal."""
    if not _TOKEN.fullmatch(wanted.token):
        raise ApnsRefusal("BadDeviceToken")
    if device is None:
        if strict:
            raise ApnsRefusal("BadDeviceToken")
        return
    if device.environment and device.environment != wanted.environment:
        raise ApnsRefusal("BadDeviceToken")
    if device.topics and wanted.topic not in device.topics:
        raise ApnsRefusal("DeviceTokenNotForTopic")
    if device.state == "unregistered":
        raise ApnsRefusal("Unregistered", device.changed_at)
    if device.state == "expired":
        raise ApnsRefusal("ExpiredToken", device.changed_at)
