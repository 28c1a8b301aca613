"""A push as FCM wants it: data only, so that the app and not the system decides what is shown (FCM, `Message`).

High priority wakes a dozing phone, and Google takes it away from apps that use it for what the user never sees.
"""

from __future__ import annotations

from typing import Final

from firebase_admin import messaging

from workers.push.notification import PAYLOAD_LIMIT, Push, fitted
from workers.push.providers.fcm.settings import LONGEST_TTL_S

CHECK_TOPIC: Final = "wakegate-check"


def payload(push: Push, *, now: float) -> bytes:
    """The request's body. firebase_admin's types check and spell it. Raises ValueError if they refuse it."""
    data: dict[str, str] = {}

    def encode(body: str | None) -> bytes:
        data.clear()
        data.update(_data(push, body))
        return "".join(name + value for name, value in data.items()).encode("utf-8", "replace")

    fitted(encode, push.shown_body, limit=PAYLOAD_LIMIT)
    message = messaging.Message(
        data=data,
        android=messaging.AndroidConfig(
            priority="high" if push.urgent else "normal",
            ttl=int(min(max(push.expires_at - now, 0), LONGEST_TTL_S)),
            collapse_key=push.collapse_id or None,
        ),
    )
    message.token = push.token  # as an argument it warns: Google prefers `fid`, which clients do not have yet
    return envelope(message)


def check_message() -> bytes:
    """A message that is judged as any other and sent to nobody."""
    return envelope(messaging.Message(data={"kind": "check"}, topic=CHECK_TOPIC), validate_only=True)


def envelope(message: messaging.Message, *, validate_only: bool = False) -> bytes:
    """The body of `messages:send`."""
    flag = b'"validate_only":true,' if validate_only else b""
    return b"{" + flag + b'"message":' + str(message).encode() + b"}"


def _data(push: Push, body: str | None) -> dict[str, str]:
    facts = {"kind": push.kind, "count": str(push.count), "push_id": push.push_id}
    if push.node:
        facts["node"] = push.node
    if push.shown_sender:
        facts["sender"] = push.shown_sender
    if body:
        facts["body"] = body
    return facts
