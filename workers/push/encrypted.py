"""What only the device can read: Tigase's "Encrypted Push Notifications", `tigase:push:encrypt:0` (sections 4.2, 4.4).

The client gave a key when it registered. Who and what goes as JSON, sealed with AES in GCM, past the app server and the
provider, so that no ceiling for content applies to it.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.xmpp import ns
from gateway.xmpp.payload import NotAnElement, read
from workers.push.notification import SENDER_LIMIT, Encrypted, Push, cut, fitted

KEY_BYTES: Final = {"aes-128-gcm": 16, "aes-256-gcm": 32}
"""`alg` of `<encrypt/>`, and how long its key is. The specification has the first; the other is the same with more."""

LIMIT: Final = 3000
"""Characters of the sealed payload, unless the caller has less room: providers take 4096 bytes with all around it."""

IV_BYTES: Final = 12
TAG_BYTES: Final = 16


def key_of(encryption: str, key: str) -> bytes | None:
    """The key a registration came with, or None if it has none, or none that can be used."""
    try:
        found = base64.b64decode("".join(key.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == KEY_BYTES.get(encryption) else None


def encrypted(push: Push, *, limit: int = LIMIT) -> Encrypted | None:
    """The push's unread count, sender and body for its device alone, the body cut so that `data` has `limit` characters
    at most. What came sealed already is that, or nothing if it is longer.

    None if the device gave no key, or there is nothing to seal: clients read a sender in every payload.
    """
    if push.sealed is not None:
        return push.sealed if len(push.sealed.data) <= limit else None
    registration = push.registration
    key = key_of(registration.encryption, registration.key) if registration is not None else None
    if registration is None or key is None or not push.sender or push.kind == "call-ended":
        return None
    about = _about(push, push.sender)
    room = min(limit, registration.max_size or limit) // 4 * 3 - TAG_BYTES
    plain = fitted(lambda body: _json(about, body), push.body, limit=room)
    if len(plain) > room:
        return None
    iv = secrets.token_bytes(IV_BYTES)
    sealed = AESGCM(key).encrypt(iv, plain, None)
    return Encrypted(_text(sealed), _text(iv), "voip" if about["type"] == "call" else "")


def sealed_in(message: bytes) -> Encrypted | None:
    """What another server has sealed for its user's device: the payload stands in the message that a publish is kept
    as. In anybody else's message it means nothing, so only those may be asked.
    """
    try:
        found = read(message).get("message")
    except NotAnElement:
        return None
    sealed = found.get(f"{ns.PUSH_ENCRYPT}|encrypted") if isinstance(found, dict) else None
    if not isinstance(sealed, dict) or not sealed.get("#text") or not sealed.get("@iv"):
        return None
    return Encrypted(sealed["#text"], sealed["@iv"], sealed.get("@type", ""))


def _about(push: Push, sender: str) -> dict[str, Any]:
    """All but the body. Of a room's message the sender is the room, and its resource the nickname there."""
    about: dict[str, Any] = {"unread": push.count if push.unread is None else push.unread}
    bare, _, resource = sender.partition("/")
    if push.kind == "call" and push.call:
        return {**about, "type": "call", "sender": sender, "sid": push.call}
    if resource:
        return {**about, "type": "groupchat", "sender": bare, "nickname": cut(resource, SENDER_LIMIT)}
    return {**about, "type": "chat", "sender": bare}


def _json(about: dict[str, Any], body: str | None) -> bytes:
    whole = about if body is None else {**about, "message": body}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
