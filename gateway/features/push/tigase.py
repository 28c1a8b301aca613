"""What else a client may say in `<enable/>`, in the namespaces of Tigase, whose clients were the first to say it:
encryption of what is shown, and which messages it does not want to be woken for.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from gateway.features.push.asked import short
from gateway.mailbox.pushes import Filters, Registration
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import several

KEY_BYTES: Final = {"aes-128-gcm": 16, "aes-256-gcm": 32}
"""alg of `<encrypt/>` -> bytes of its key; Tigase knows the first"""

SIZES: Final = range(128, 65_537)
"""what max-size of `<encrypt/>` may be: below nothing would fit"""

ENCRYPTION_FEATURES: Final = (ns.PUSH_ENCRYPT, *(f"tigase:push:encrypt:{name}" for name in KEY_BYTES))

FILTER_FEATURES: Final = (ns.PUSH_MUTED, ns.PUSH_GROUPCHAT, ns.PUSH_IGNORE_UNKNOWN)

FEATURES: Final = (*ENCRYPTION_FEATURES, *FILTER_FEATURES, ns.PUSH_PRIORITY, ns.PUSH_JINGLE)
"""The last two need not be asked for: app servers are always told what is urgent, and of calls."""

MOST_CHATS: Final = 1000
"""muted chats and rooms of one device"""

ROOM_RULES: Final = ("always", "mentioned", "never")

ENCRYPTED, NONE = "encrypted", "none"
"""what may be told (Registration.content) where there is a key"""


def described(content: dict[str, Any], registration: Registration) -> Registration:
    """The registration, with what stands in its `<enable/>`. Raises StanzaError."""
    encryption, key, max_size = _encryption(content)
    told = registration.content
    if key and told not in ("", NONE, ENCRYPTED):
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"with <encrypt/> the content is {ENCRYPTED}, not {told}")
    if told == ENCRYPTED and not key and not registration.p256dh:
        raise StanzaError(
            StanzaCondition.BAD_REQUEST, f"content {ENCRYPTED} needs a key: <encrypt xmlns='{ns.PUSH_ENCRYPT}' alg=''/>"
        )
    filters = _filters(content)
    return msgspec.structs.replace(
        registration,
        content=told or (ENCRYPTED if key and registration.app else ""),
        encryption=encryption,
        key=key,
        max_size=max_size,
        filters=None if filters == Filters() else filters,
    )


def _encryption(content: dict[str, Any]) -> tuple[str, str, int]:
    """Algorithm, key and the largest size of what is encrypted."""
    name = f"{ns.PUSH_ENCRYPT}|encrypt"
    if name not in content:
        return "", "", 0
    encrypt = content[name]
    if not isinstance(encrypt, dict) or encrypt.get("@alg") not in KEY_BYTES:
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE, f"<encrypt/> has an alg, which is one of {', '.join(KEY_BYTES)}"
        )
    algorithm = encrypt["@alg"]
    text = "".join(str(encrypt.get("#text") or "").split())
    try:
        key = base64.b64decode(short(text, "the key"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES[algorithm]:
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE, f"the key of {algorithm} is {KEY_BYTES[algorithm]} bytes in base64"
        )
    return algorithm, base64.b64encode(key).decode(), _max_size(encrypt.get("@max-size", ""))


def _max_size(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) in SIZES):
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE, f"max-size is a number of bytes from {SIZES.start} to {SIZES.stop - 1}"
        )
    return int(text)


def _filters(content: dict[str, Any]) -> Filters:
    muted = [_chat(item) for item in several(content.get(f"{ns.PUSH_MUTED}|muted"), f"{ns.PUSH_MUTED}|item")]
    groupchat = f"{ns.PUSH_GROUPCHAT}|groupchat"
    rooms = dict(_room(room) for room in several(content.get(groupchat), f"{ns.PUSH_GROUPCHAT}|room"))
    if len(muted) + len(rooms) > MOST_CHATS:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"more than {MOST_CHATS} chats in filters")
    if groupchat in content:
        rooms[""] = "mentioned"
    return Filters(
        muted=tuple(sorted(set(muted))),
        rooms=rooms,
        ignore_unknown=f"{ns.PUSH_IGNORE_UNKNOWN}|ignore-unknown" in content,
    )


def _chat(item: Any) -> str:
    """The bare JID of an `<item/>` or a `<room/>`."""
    jid = item.get("@jid") if isinstance(item, dict) else None
    if not jid:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "a chat in a filter has the attribute jid")
    try:
        return str(JID.parse(jid).bare)
    except JIDError as error:
        raise StanzaError(StanzaCondition.JID_MALFORMED, str(error)) from error


def _room(room: Any) -> tuple[str, str]:
    chat = _chat(room)
    rule = room.get("@allow")
    if rule not in ROOM_RULES:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"allow of a room is one of {', '.join(ROOM_RULES)}")
    nick = room.get("@nick", "")
    return chat, f"{rule}:{short(nick, 'the nick')}" if rule == "mentioned" and nick else rule
