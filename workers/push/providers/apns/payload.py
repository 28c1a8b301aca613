"""A push as APNs wants it: headers and JSON (Apple, "Sending notification requests to APNs").

A message is an alert with `mutable-content`, because only those run the app's Notification Service Extension; a silent
one may be held back for hours. The text shown is what the user sees if the extension fails, so it must make sense by
itself.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from workers.push.http2.exchange import Headers
from workers.push.notification import Push, fitted
from workers.push.rules import CALL
from workers.push.settings import AppSettings

NOW: Final = b"10"
CONSIDERATE: Final = b"5"

_encoder: Final = msgspec.json.Encoder()


def payload(push: Push, app: AppSettings) -> bytes:
    """The JSON body, at most 4,096 bytes."""
    text = app.call_text if push.kind == CALL else app.message_text
    facts = {"kind": push.kind, "count": push.count}
    if push.node:
        facts["node"] = push.node

    def encode(body: str | None) -> bytes:
        return _encoder.encode({"aps": _aps(push, body, text), "wakegate": facts})

    return fitted(encode, push.shown_body)


def wake_only(push: Push, app: AppSettings) -> bytes:
    """The smallest payload that still wakes: for an answer PayloadTooLarge."""
    text = app.call_text if push.kind == CALL else app.message_text
    return _encoder.encode({"aps": {"alert": {"body": text}, "mutable-content": 1}} if push.urgent else _SILENT)


def headers(push: Push, *, topic: str, authority: bytes, bearer: str) -> Headers:
    """The request's header fields. `bearer` is "" on a connection that shows a certificate.

    Expiration is computed by the caller for each push: an expiry in the past means "do not store", which looks like
    loss.
    """
    fields: Headers = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", authority),
        (b":path", b"/3/device/" + push.token.encode("ascii", "replace")),
        (b"apns-id", push.push_id.encode("ascii")),
        (b"apns-topic", topic.encode("ascii", "replace")),
        (b"apns-push-type", b"alert" if push.urgent else b"background"),
        (b"apns-priority", NOW if push.urgent else CONSIDERATE),
        (b"apns-expiration", str(int(push.expires_at)).encode("ascii")),
    ]
    if push.collapse_id:
        fields.append((b"apns-collapse-id", push.collapse_id.encode()[:64]))
    if bearer:
        fields.append((b"authorization", b"bearer " + bearer.encode("ascii")))
    return fields


_SILENT: Final = {"aps": {"content-available": 1}}


def _aps(push: Push, body: str | None, text: str) -> dict[str, Any]:
    if not push.urgent:
        return dict(_SILENT["aps"])
    alert = {"body": body or text}
    if push.shown_sender:
        alert["title"] = push.shown_sender
    return {"alert": alert, "mutable-content": 1, "sound": "default"}
