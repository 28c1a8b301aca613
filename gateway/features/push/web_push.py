"""A Web Push subscription (RFC 8030, RFC 8291) as a client registers it; UnifiedPush gives apps the same values."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gateway.features.push.asked import short
from gateway.xmpp.errors import StanzaCondition, StanzaError

POINT_BYTES: Final = 65
"""an uncompressed point: 4, x, y (RFC 8291 section 3.1)"""

SECRET_BYTES: Final = 16
"""RFC 8291 section 3.2"""

# P-256: y^2 = x^3 - 3x + b modulo p (SP 800-186, section 3.2.1.3)
_P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*={0,2}")
_GRAPHIC: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where to push, and the keys that make a push readable for the app alone, as base64url without padding."""

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


def read(fields: dict[str, str], *, is_anywhere: bool) -> Subscription:
    """What the form's fields `endpoint` (or `token`), `p256dh` and `auth` say. Raises StanzaError.

    `is_anywhere`: http, too. Whether the host is one that may be asked is seen when it is: names change their address.
    """
    endpoint = short(fields.get("endpoint") or fields.get("token", ""), "the endpoint")
    if not endpoint:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the field endpoint is empty")
    if not _is_url(endpoint, ("https", "http") if is_anywhere else ("https",)):
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "the endpoint is no https URL with a host and no password")
    point = _key(fields, "p256dh", POINT_BYTES)
    if point[0] != 4 or not _is_on_curve(point):
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "the p256dh is no uncompressed point on P-256")
    return Subscription(endpoint, _encoded(point), _encoded(_key(fields, "auth", SECRET_BYTES)))


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        url = urlsplit(text)
        return bool(
            _GRAPHIC.fullmatch(text)
            and url.scheme in schemes
            and url.hostname
            and "@" not in url.netloc
            and url.port != 0
            and not url.fragment
        )
    except ValueError:
        return False


def _key(fields: dict[str, str], name: str, length: int) -> bytes:
    text = fields.get(name, "")
    if not text:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the field {name} is empty: Web Push is always encrypted")
    found = b""
    if len(text) <= 4 * length and _BASE64URL.fullmatch(text):
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


def _is_on_curve(point: bytes) -> bool:
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return x < _P and y < _P and (y * y - (x * x * x - 3 * x + _B)) % _P == 0
