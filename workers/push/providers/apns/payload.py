"""A push as APNs wants it: headers and JSON (Apple, "Sending notification requests to APNs", "Generating a remote
notification").

A message is an alert with `mutable-content`, because only those run the app's Notification Service Extension; a silent
one may be held back for hours. The text shown is what the user sees if the extension fails, so it must make sense by
itself.
"""

from __future__ import annotations

import uuid
from enum import Enum
from functools import partial
from typing import Any, Final

import msgspec

from workers.push.http2.exchange import Headers
from workers.push.notification import PAYLOAD_LIMIT, Push
from workers.push.rules import CALL, CALL_ENDED
from workers.push.settings import AppSettings
from workers.push.told import Told, shortened

VOIP_LIMIT: Final = 5120
VOIP_STORED_S: Final = 10
"""Apple: a VoIP push expires at once or after a few seconds, so that nothing rings when the call is over."""

NOW: Final = b"10"
CONSIDERATE: Final = b"5"

_THREADS: Final = uuid.UUID("0f4f6a2e-6a0c-5b37-8f0e-3f7a6b0f5a77")
_WAKE: Final[dict[str, Any]] = {"alert": {"body": "New message"}, "mutable-content": 1}

_encoder: Final = msgspec.json.Encoder()


class Sort(Enum):
    """`apns-push-type`."""

    ALERT = b"alert"
    BACKGROUND = b"background"
    VOIP = b"voip"


def sort_of(push: Push) -> Sort:
    """VoIP for a call to a device that gave a PushKit token; an alert for what the user will notice."""
    if push.voip_token and push.kind == CALL:
        return Sort.VOIP
    return Sort.ALERT if push.urgent else Sort.BACKGROUND


def payload(push: Push, app: AppSettings) -> bytes:
    """The JSON body: at most 4,096 bytes, for a VoIP push 5,120."""
    sort = sort_of(push)
    limit = VOIP_LIMIT if sort is Sort.VOIP else PAYLOAD_LIMIT
    encode = {Sort.ALERT: _alert, Sort.BACKGROUND: _background, Sort.VOIP: _voip}[sort]
    found = shortened(partial(encode, push, app), Told.of(push), limit=limit)
    return found if len(found) <= limit else bare(push)


def wake_only(push: Push, app: AppSettings) -> bytes:
    """The smallest payload that still wakes, in the app's words: for an answer PayloadTooLarge."""
    if sort_of(push) is not Sort.ALERT:
        return bare(push)
    found = _encoder.encode({"aps": {"alert": _text(push, app, None), "mutable-content": 1}})
    return found if len(found) <= PAYLOAD_LIMIT else bare(push)


def bare(push: Push) -> bytes:
    """Nothing but the wake-up: where even the texts of the configuration are too long."""
    aps = {Sort.ALERT: _WAKE, Sort.BACKGROUND: {"content-available": 1}, Sort.VOIP: {}}[sort_of(push)]
    return _encoder.encode({"aps": aps})


def headers(push: Push, *, topic: str, authority: bytes, bearer: str, now: float) -> Headers:
    """The request's header fields. `bearer` is "" on a connection that shows a certificate; `now` in UNIX seconds.

    Expiration is computed for each try: an expiry in the past means "do not store", which looks like loss. What differs
    from push to push stays out of the connection's table of header fields, as Apple asks; the provider token, too.
    """
    sort = sort_of(push)
    is_voip = sort is Sort.VOIP
    token = push.voip_token if is_voip else push.token
    expires_at = min(push.expires_at, now + VOIP_STORED_S) if is_voip else push.expires_at
    fields: Headers = [
        (b":method", b"POST", False),
        (b":scheme", b"https", False),
        (b":authority", authority, False),
        (b":path", b"/3/device/" + token.encode("ascii", "replace"), True),
        (b"apns-id", push.push_id.encode("ascii"), True),
        (b"apns-topic", (topic + ".voip" if is_voip else topic).encode("ascii", "replace"), False),
        (b"apns-push-type", sort.value, False),
        (b"apns-priority", CONSIDERATE if sort is Sort.BACKGROUND else NOW, False),
        (b"apns-expiration", b"%d" % int(expires_at), True),
    ]
    if push.collapse_id and not is_voip:  # CallKit, not the notification centre, shows a VoIP push
        fields.append((b"apns-collapse-id", push.collapse_id.encode()[:64], True))
    if bearer:
        fields.append((b"authorization", b"bearer " + bearer.encode("ascii"), True))
    return fields


def _alert(push: Push, app: AppSettings, told: Told) -> bytes:
    aps: dict[str, Any] = {"alert": _text(push, app, told.body), "mutable-content": 1}
    if told.sender is not None:
        aps["alert"]["title"] = told.sender
        aps["thread-id"] = _thread(push)
    sound = app.call_sound if push.kind == CALL else app.sound
    if sound:
        aps["sound"] = sound
    if app.badge and push.unread is not None:
        aps["badge"] = push.unread
    if push.kind == CALL:
        aps["interruption-level"] = "time-sensitive"
    return _encode(aps, push, told)


def _background(push: Push, _app: AppSettings, told: Told) -> bytes:
    return _encode({"content-available": 1}, push, told)


def _voip(push: Push, _app: AppSettings, told: Told) -> bytes:
    return _encode({}, push, told, sender=told.sender)


def _encode(aps: dict[str, Any], push: Push, told: Told, *, sender: str | None = None) -> bytes:
    """`aps` is Apple's, `wakegate` ours; `encrypted` and `iv` are where clients of `tigase:push:encrypt:0` look."""
    facts: dict[str, Any] = {"kind": push.kind, "count": push.count}
    told_facts = (("node", told.node), ("call", told.call), ("unread", push.unread), ("sender", sender))
    facts.update((name, value) for name, value in told_facts if value is not None)
    if push.requests:
        facts["requests"] = push.requests
    whole: dict[str, Any] = {"aps": aps, "wakegate": facts}
    if told.encrypted is not None:
        whole["encrypted"] = told.encrypted.data
        whole["iv"] = told.encrypted.iv
    return _encoder.encode(whole)


def _text(push: Push, app: AppSettings, body: str | None) -> dict[str, Any]:
    """The message's own text where it may be told, else the app's: by a key of its own strings, or as configured."""
    if body is not None:
        return {"body": body}
    text, key = _words(push.kind, app)
    if not key:
        return {"body": text}
    return {"loc-key": key, "loc-args": [str(push.count)]}


def _words(kind: str, app: AppSettings) -> tuple[str, str]:
    if kind == CALL:
        return app.call_text, app.call_key
    if kind == CALL_ENDED:
        return app.missed_call_text, app.missed_call_key
    return app.message_text, app.message_key


def _thread(push: Push) -> str:
    """Groups the notifications of one conversation. Only where the sender is told: who knows JIDs could try them."""
    account = push.registration.field if push.registration is not None else push.node
    peer = (push.sender or "").partition("/")[0]
    return str(uuid.uuid5(_THREADS, f"{account}\0{peer}"))
