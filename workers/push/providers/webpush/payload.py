"""A push as its app reads it, JSON inside the encryption; and the fields that its push service reads (RFC 8030)."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec

from workers.push.notification import Content, Push
from workers.push.providers.webpush.encryption import PLAIN_LIMIT
from workers.push.rules import RESTART
from workers.push.settings import AppSettings
from workers.push.told import CALL_ID_LIMIT, Told, shortened

TOPIC_LENGTH: Final = 32
"""The most that RFC 8030 section 5.4 allows."""

ENCRYPTED: Final = "encrypted"

_encoder: Final = msgspec.json.Encoder()


def payload(push: Push, app: AppSettings) -> bytes:
    """The JSON text, PLAIN_LIMIT bytes at most."""
    shown = replace(push, content=_ceiling(push, app))
    told = Told(
        body=shown.shown_body,
        sender=shown.shown_sender,
        node=push.node or None,
        call=push.call if 0 < len(push.call) <= CALL_ID_LIMIT else None,
    )
    return shortened(partial(_encode, push), told, limit=PLAIN_LIMIT)


def wake_only(push: Push) -> bytes:
    """The smallest payload that still says what it is about: for a push service that takes less than RFC 8030 asks."""
    return _encoder.encode({"kind": push.kind, "push_id": push.push_id})


def headers(push: Push, *, authorization: str, is_encrypted: bool, now: float) -> dict[str, str]:
    """The request's header fields. TTL is what is left at this try; `now` in UNIX seconds."""
    fields = {
        "Authorization": authorization,
        "TTL": str(max(0, int(push.expires_at - now))),
        "Urgency": urgency(push),
    }
    if is_encrypted:
        fields |= {"Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream"}
    if push.collapse_id:
        fields["Topic"] = topic(push.collapse_id)
    return fields


def urgency(push: Push) -> str:
    """RFC 8030, section 5.3: what the user will see is worth waking the radio; that a connection was lost can wait for
    a charger.
    """
    if push.urgent:
        return "high"
    return "very-low" if push.kind == RESTART else "low"


def topic(collapse_id: str) -> str:
    """A name that makes a newer message replace an older one that was not delivered (RFC 8030, section 5.4)."""
    return base64.urlsafe_b64encode(hashlib.sha256(collapse_id.encode()).digest()).decode("ascii")[:TOPIC_LENGTH]


def _ceiling(push: Push, app: AppSettings) -> Content:
    """How much is told. "encrypted" is everything, as here only the device can read it."""
    wanted = push.registration.content if push.registration is not None else ""
    if ENCRYPTED not in (app.content, wanted):
        return push.content
    words = [Content.BODY.name.lower() if word == ENCRYPTED else word for word in (app.content, wanted)]
    return Content.allowed(*words)


def _encode(push: Push, told: Told) -> bytes:
    facts: dict[str, Any] = {"kind": push.kind, "count": push.count, "push_id": push.push_id}
    values = {
        "node": told.node, "call": told.call, "unread": push.unread, "sender": told.sender, "body": told.body,
        "requests": push.requests or None,
    }  # fmt: skip
    return _encoder.encode(facts | {name: value for name, value in values.items() if value is not None})
