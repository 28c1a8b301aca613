"""The server's own push service, `push.<domain>`: what a client's form says of its device."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gateway.features.push import web_push
from gateway.features.push.asked import Asked, short
from gateway.mailbox.pushes import Registration
from gateway.xmpp.errors import StanzaCondition, StanzaError

HOST: Final = "push"

ENVIRONMENTS: Final = ("", "production", "sandbox", "auto")
ENCRYPTED: Final = "encrypted"
CONTENTS: Final = ("", "none", "sender", "body", ENCRYPTED)

APNS, WEB_PUSH = "apns", "webpush"
"""providers of which more is known than that they have tokens"""

APNS_TOKEN: Final = re.compile(r"(?:[0-9a-f]{2}){4,200}", re.IGNORECASE)
"""A device token as apps send it: 4 to 200 bytes in hexadecimal digits. Apple says only that the length may change."""


def is_own(asked: Asked) -> bool:
    """It is this server that is to send the pushes. Raises StanzaError for anything else than the service itself."""
    host = f"{HOST}.{asked.query.session.jid.domain}"
    if asked.service.domain == host and str(asked.service) != host:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, f"the push service is {host}")
    return asked.service.domain == host


def described(asked: Asked, registration: Registration, apps: Any) -> Registration:
    """The registration, with what the form says. `apps` are those of `[push.apps]`. Raises StanzaError for what could
    not work: every push for this device would fail, and the client would never learn of it.
    """
    fields = asked.fields()
    name = fields.get("app", "")
    if name not in apps:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "this server knows no such app")
    app = apps[name]
    registration = msgspec.structs.replace(
        registration,
        app=name,
        environment=_one_of(fields, "environment", ENVIRONMENTS),
        content=_one_of(fields, "content", CONTENTS),
    )
    if app.provider == WEB_PUSH:
        subscription = web_push.read(fields, is_anywhere=app.allow_private)
        return msgspec.structs.replace(
            registration, token=subscription.endpoint, p256dh=subscription.p256dh, auth=subscription.auth
        )
    return msgspec.structs.replace(
        registration, token=_token(fields, app.provider), voip_token=_voip_token(fields, app.provider)
    )


def _one_of(fields: dict[str, str], name: str, known: tuple[str, ...]) -> str:
    value = fields.get(name, "")
    if value not in known:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the field {name} is one of {', '.join(known[1:])}")
    return value


def _token(fields: dict[str, str], provider: str) -> str:
    token = short(fields.get("token", ""), "the token")
    if not token:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the field token is empty")
    return _apples(token, "the token") if provider == APNS else token


def _voip_token(fields: dict[str, str], provider: str) -> str:
    """PushKit's, for calls."""
    token = short(fields.get("voip_token", ""), "the voip_token")
    if token and provider != APNS:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the field voip_token is for apps at APNs alone")
    return _apples(token, "the voip_token") if token else ""


def _apples(token: str, what: str) -> str:
    if not APNS_TOKEN.fullmatch(token):
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE, f"{what} is not one of APNs: 4 to 200 bytes in hexadecimal digits"
        )
    return token
