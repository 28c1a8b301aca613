"""What a device's registration is made of, and what could not work: every push for it would fail, and its client would
never learn why.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.mailbox.pushes import Registration
from gateway.xmpp.errors import StanzaCondition, StanzaError
from workers.push.settings import APNS, FCM, WEBPUSH, AppSettings

LONGEST: Final = 4096
"""characters of a token or an endpoint"""

LONGEST_NAME: Final = 256
"""characters of what a client calls its device"""

ENVIRONMENTS: Final = ("", "production", "sandbox", "auto")
CONTENTS: Final = ("none", "sender", "body")

POINT_BYTES: Final = 65
SECRET_BYTES: Final = 16
"""of a Web Push subscription (RFC 8291 section 3)"""

_APNS_TOKEN: Final = re.compile(r"(?:[0-9a-f]{2}){4,200}", re.IGNORECASE)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_GRAPHIC: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Apps:
    """The apps that users of one server may register; `content`: the most that is told of their messages."""

    service: str
    apps: Mapping[str, AppSettings]
    content: str

    @classmethod
    def allowed(cls, service: str, names: Collection[str], apps: Mapping[str, AppSettings], content: str) -> Apps:
        """Those of `names`, in that order, or all there are if none is named."""
        chosen = {name: apps[name] for name in names if name in apps} if names else dict(apps)
        return cls(service, chosen, content)

    def of_provider(self, provider: str) -> str:
        """The first app at a provider, for commands that name none. Raises StanzaError."""
        for name, app in self.apps.items():
            if app.provider == provider:
                return name
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, f"no app here is at {provider}")

    def named(self, provider: str) -> str:
        """The app that Tigase's clients mean by `provider`: of that name, or at the provider that is in the name, as in
        `tigase:messenger:apns:1`. Raises StanzaError.
        """
        if provider in self.apps:
            return provider
        words = re.split(r"[^a-z]+", provider.lower())
        return self.of_provider(next((known for known in (APNS, FCM) if known in words), provider))

    def registration(self, app: str, fields: Mapping[str, str]) -> Registration:
        """From the fields of a form: token and voip_token, or endpoint, p256dh and auth; environment; content. Raises
        StanzaError.
        """
        settings = self.apps.get(app)
        if settings is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "no such app can be registered here")
        registration = Registration(
            service=self.service,
            node="",
            sid="",
            resource="",
            app=app,
            token="",
            environment=_one_of(fields, "environment", ENVIRONMENTS),
            content=self._content(fields),
        )
        if settings.provider == WEBPUSH:
            return msgspec.structs.replace(
                registration,
                token=_endpoint(fields, is_anywhere=settings.allow_private),
                p256dh=_point(fields),
                auth=_encoded(_bytes(fields, "auth", SECRET_BYTES)),
            )
        return msgspec.structs.replace(
            registration,
            token=_token(fields, "token", settings.provider),
            voip_token=_token(fields, "voip_token", settings.provider) if fields.get("voip_token") else "",
        )

    def _content(self, fields: Mapping[str, str]) -> str:
        """The lesser of what the operator allows and what the device asks for."""
        asked = _one_of(fields, "content", ("", *CONTENTS)) or self.content
        return min(asked, self.content, key=CONTENTS.index)


def device_of(fields: Mapping[str, str], registration: Registration) -> str:
    """What tells a device from the owner's others: the name its client gives it, or its token. Raises StanzaError."""
    name = fields.get("device-id") or fields.get("android-id") or ""
    if len(name) > LONGEST_NAME:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"a device's id has {LONGEST_NAME} characters at most")
    return f"{registration.app}\nid {name}" if name else f"{registration.app}\ntoken {registration.token}"


def _one_of(fields: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = fields.get(name, "")
    if value not in known:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the field {name} is one of {', '.join(filter(None, known))}")
    return value


def _given(fields: Mapping[str, str], name: str) -> str:
    text = fields.get(name, "").strip()
    if not text:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the field {name} is needed")
    if len(text) > LONGEST:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"the {name} is longer than {LONGEST} characters")
    return text


def _token(fields: Mapping[str, str], name: str, provider: str) -> str:
    token = _given(fields, name)
    if provider == APNS and not _APNS_TOKEN.fullmatch(token):
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE, f"the {name} is not one of APNs: 4 to 200 bytes in hexadecimal digits"
        )
    return token


def _endpoint(fields: Mapping[str, str], *, is_anywhere: bool) -> str:
    """Whether its host may be asked is seen when it is: names change their addresses."""
    text = _given(fields, "endpoint" if fields.get("endpoint") else "token")
    try:
        url = urlsplit(text)
        is_good = url.scheme == "https" or (is_anywhere and url.scheme == "http")
        is_good = is_good and bool(url.hostname) and "@" not in url.netloc and url.port != 0
    except ValueError:
        is_good = False
    if not is_good or not _GRAPHIC.fullmatch(text):
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "the endpoint is no https URL with a host and no password")
    return text


def _point(fields: Mapping[str, str]) -> str:
    point = _bytes(fields, "p256dh", POINT_BYTES)
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "the p256dh is no uncompressed point on P-256") from error
    return _encoded(point)


def _bytes(fields: Mapping[str, str], name: str, length: int) -> bytes:
    text, found = _given(fields, name), b""
    if _BASE64URL.fullmatch(text):
        bare = text.rstrip("=")
        try:
            found = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
        except (binascii.Error, ValueError):
            found = b""
    if len(found) != length:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"the {name} is not {length} bytes in base64url")
    return found


def _encoded(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()
