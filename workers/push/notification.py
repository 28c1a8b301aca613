"""What is said to a phone: little, and by default nothing about who wrote or what.

A push means "come and fetch", it is never the message: Apple keeps one for an offline device, and Google drops all
beyond a hundred. So its payload is a wake-up with, if the operator and the user want it, a sender and the beginning of
a body.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from gateway.mailbox.pushes import Registration

PAYLOAD_LIMIT: Final = 4096
"""Bytes of a payload that Apple and Google take."""

SENDER_LIMIT: Final = 128
"""Characters of a sender that are shown: a JID may have 3,071 bytes, a lock screen has no room for them."""

_NAMESPACE: Final = uuid.UUID("8f2d6f0c-5f0b-5f0e-9a53-6b1f4d8f7a11")
_ELLIPSIS: Final = "…"
_ZERO_WIDTH_JOINER: Final = "\u200d"


class Content(IntEnum):
    """How much a payload tells, from least to most (`content` of an app and of a registration)."""

    NONE = 0
    SENDER = 1
    BODY = 2

    @classmethod
    def allowed(cls, app: str, registration: str = "") -> Content:
        """The lesser of what the operator allows for the app and what the user's registration asks for ("" = the
        app's).

        A word that is not known means NONE: what cannot be understood must not reveal more. So does "encrypted": what
        is told then, only the device can read, and that is the payload's business.
        """
        known = {member.name.lower(): member for member in cls}
        limit = known.get(app, cls.NONE)
        return min(limit, known.get(registration, cls.NONE)) if registration else limit


@dataclass(frozen=True)
class Encrypted:
    """A sealed payload as it goes on the wire (`tigase:push:encrypt:0`). `data`: base64 of the ciphertext with its
    authentication tag at the end; `iv`: base64; `type` is "voip" for a call, else "".
    """

    data: str = field(repr=False)
    iv: str = field(repr=False)
    type: str = ""


@dataclass(frozen=True)
class Push:
    """One push for one device.

    `token` is the provider's device token, `voip_token` its PushKit token if a VoIP push is to be sent instead ("" =
    no); `environment` is "production", "sandbox", "auto" or "" for the app's. `urgent` means that something will be
    shown; `kind` says why ("message", "call", "call-ended", "last-call", ...). `count` messages wait for the device,
    `unread` are unread in the account (the badge; None = not known), `requests` ask for a subscription. `call` is the
    id of the call (XEP-0353). `push_id` is a UUID that stays the same over retries, `expires_at` UNIX seconds. `node`
    is the client's own name for the registration (XEP-0357), so that an app with several accounts knows which one to
    wake.
    """

    app: str
    token: str = field(repr=False)
    push_id: str
    expires_at: float
    kind: str = "message"
    urgent: bool = True
    environment: str = ""
    count: int = 0
    sender: str | None = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)
    content: Content = Content.NONE
    collapse_id: str = ""
    node: str = field(default="", repr=False)
    voip_token: str = field(default="", repr=False)
    unread: int | None = None
    requests: int = 0
    call: str = field(default="", repr=False)
    domain: str = ""
    """of the account: in whose name app servers are spoken to"""
    sealed: Encrypted | None = field(default=None, repr=False)
    """what another server has sealed for its user's device: passed on as it is"""
    registration: Registration | None = field(default=None, repr=False)
    """the whole of it, for providers that need more: keys, encryption, an app server's form"""

    @property
    def shown_sender(self) -> str | None:
        """The sender, if it may be told, cut to a line's length."""
        if self.content < Content.SENDER or not self.sender:
            return None
        return self.sender if len(self.sender) <= SENDER_LIMIT else cut(self.sender, SENDER_LIMIT)

    @property
    def shown_body(self) -> str | None:
        """The body, if it may be told."""
        return self.body or None if self.content >= Content.BODY else None


def collapse_id(kind: str, registration: str) -> str:
    """36 characters that are the same for all pushes of a sort to a registration: a newer one replaces an older one.

    Two sorts, calls and all that says "come and fetch": Google keeps four collapse keys per device, which may be used
    by two accounts. A hash, because what it is made of would tell the provider who the user is.
    """
    sort = "call" if kind in {"call", "call-ended", "call-answered"} else "message"
    return str(uuid.uuid5(_NAMESPACE, f"collapse\0{sort}\0{registration}"))


def cut(text: str, length: int) -> str:
    """The first `length` characters at most, an ellipsis included, without half of a composed character at the end."""
    if len(text) <= length:
        return text
    end = max(length - 1, 0)
    while end > 0 and _joins(text[end - 1], text[end]):
        end -= 1
    return text[:end].rstrip() + _ELLIPSIS if length > 0 else ""


def _joins(before: str, after: str) -> bool:
    """Would cutting between these two characters break what a reader sees as one?"""
    return (
        before == _ZERO_WIDTH_JOINER or after == _ZERO_WIDTH_JOINER or unicodedata.category(after) in {"Mn", "Me", "Mc"}
    )


def fitted(encode: Callable[[str | None], bytes], body: str | None, *, limit: int = PAYLOAD_LIMIT) -> bytes:
    """The payload with as much of the body as fits `limit` bytes; without a body if not even its first characters fit.

    `encode` makes the payload with a given body. JSON escapes make the length of a text unforeseeable, so it is tried,
    by halving.
    """
    payload = encode(body)
    if body is None or len(payload) <= limit:
        return payload
    low, high = 0, min(len(body), limit)
    while low < high:
        middle = (low + high + 1) // 2
        if len(encode(cut(body, middle))) <= limit:
            low = middle
        else:
            high = middle - 1
    return encode(cut(body, low)) if low > 1 else encode(None)
