"""Broadcast pushes to Live Activities: channels and what is sent to them.

"Setting up broadcast push notifications" and "Sending channel management requests to APNs": both are answered on the
listener of their environment here, where Apple has hosts of their own for the channels.
"""

import base64
import binascii
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

from workers.sandbox.apns.request import ApnsRefusal, ApnsRequest

PAYLOAD_LIMIT: Final = 5120
CHANNELS_PER_APP: Final = 10_000
CHANNEL_HEADER: Final = "apns-channel-id"

_SEND = re.compile(r"/4/broadcasts/apps/([A-Za-z0-9._-]{1,255})")
_MANAGE = re.compile(r"/1/apps/([A-Za-z0-9._-]{1,255})/(channels|all-channels)")
_EXPIRATION = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Channel:
    """Where a Live Activity subscribes. Without storage (policy 0) a push to it may not be kept: expiration 0."""

    channel_id: str
    bundle_id: str
    environment: str
    storage_policy: Literal[0, 1]


@dataclass(frozen=True)
class Broadcast:
    """What a request about channels is answered with, and for a push the channel it went to."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    channel_id: str = ""


class Channels:
    """The channels of all apps and both environments."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}

    def forget(self) -> None:
        """Forget all channels."""
        self._channels.clear()

    def judge(self, request: ApnsRequest, environment: str) -> Broadcast:
        """Answer a request about channels whose sender is known. Raises ApnsRefusal."""
        if match := _SEND.fullmatch(request.path):
            return self._send(request, match.group(1), environment)
        match = _MANAGE.fullmatch(request.path)
        if match is None:
            raise ApnsRefusal("BadPath")
        bundle_id, collection = match.groups()
        match request.method, collection:
            case "POST", "channels":
                return self._create(request, bundle_id, environment)
            case "GET", "channels":
                channel = self._find(request, bundle_id, environment)
                return _json({"message-storage-policy": channel.storage_policy, "push-type": "LiveActivity"})
            case "DELETE", "channels":
                del self._channels[self._find(request, bundle_id, environment).channel_id]
                return Broadcast(204)
            case "GET", "all-channels":
                return _json({"channels": [channel.channel_id for channel in self._of(bundle_id, environment)]})
            case _:
                raise ApnsRefusal("MethodNotAllowed")

    def _send(self, request: ApnsRequest, bundle_id: str, environment: str) -> Broadcast:
        if request.method != "POST":
            raise ApnsRefusal("MethodNotAllowed")
        push_type = request.headers.get("apns-push-type")
        if push_type is None:
            raise ApnsRefusal("MissingPushType")
        if push_type.lower() != "liveactivity":
            raise ApnsRefusal("InvalidPushType")
        channel = self._find(request, bundle_id, environment)
        if request.headers.get("apns-priority", "10") not in ("1", "5", "10"):
            raise ApnsRefusal("BadPriority")
        expiration = request.headers.get("apns-expiration", "0")
        if not _EXPIRATION.fullmatch(expiration) or (channel.storage_policy == 0 and int(expiration) != 0):
            raise ApnsRefusal("BadExpirationDate")
        if len(request.body) > PAYLOAD_LIMIT:
            raise ApnsRefusal("PayloadTooLarge")
        if not request.body or not isinstance(request.payload(), dict):
            raise ApnsRefusal("PayloadEmpty")
        return Broadcast(200, channel_id=channel.channel_id)

    def _create(self, request: ApnsRequest, bundle_id: str, environment: str) -> Broadcast:
        form = request.payload()
        if not isinstance(form, dict) or form.get("message-storage-policy") not in (0, 1):
            raise ApnsRefusal("PayloadEmpty")
        if str(form.get("push-type", "")).lower() != "liveactivity":
            raise ApnsRefusal("InvalidPushType" if "push-type" in form else "MissingPushType")
        if len(self._of(bundle_id, environment)) >= CHANNELS_PER_APP:
            raise ApnsRefusal("CannotCreateChannelConfig")
        channel_id = base64.b64encode(secrets.token_bytes(16)).decode()
        self._channels[channel_id] = Channel(channel_id, bundle_id, environment, form["message-storage-policy"])
        return Broadcast(201, ((CHANNEL_HEADER, channel_id),))

    def _find(self, request: ApnsRequest, bundle_id: str, environment: str) -> Channel:
        channel_id = request.headers.get(CHANNEL_HEADER)
        if not channel_id:
            raise ApnsRefusal("MissingChannelId")
        try:
            raw = base64.b64decode(channel_id, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ApnsRefusal("BadChannelId") from error
        if len(raw) > 64:
            raise ApnsRefusal("BadChannelId")
        channel = self._channels.get(channel_id)
        if channel is None or channel.environment != environment:
            raise ApnsRefusal("ChannelNotRegistered")
        if channel.bundle_id != bundle_id:
            raise ApnsRefusal("TopicMismatch")
        return channel

    def _of(self, bundle_id: str, environment: str) -> list[Channel]:
        wanted = (bundle_id, environment)
        return [one for one in self._channels.values() if (one.bundle_id, one.environment) == wanted]


def is_about_channels(request: ApnsRequest) -> bool:
    """Whether the path is one of those that Channels answers."""
    return request.path.startswith(("/4/", "/1/"))


def bundle_id_of(request: ApnsRequest) -> str:
    """The bundle ID that the path names, "" if it names none."""
    match = _SEND.fullmatch(request.path) or _MANAGE.fullmatch(request.path)
    return match.group(1) if match else ""


def _json(value: Any) -> Broadcast:
    return Broadcast(200, (("content-type", "application/json"),), json.dumps(value, separators=(",", ":")).encode())
