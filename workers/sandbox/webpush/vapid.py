"""Is it the application server that the subscription belongs to? (RFC 8292)"""

import base64
import binascii
import re
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from workers.sandbox.jose import BadToken, Jws, is_signed_es256, numeric_date, read_jws
from workers.sandbox.webpush.errors import WebPushRefusal

LIFETIME_LIMIT_S = 24 * 3600
SKEW_S = 60

_PARAMETER = re.compile(r"\s*([A-Za-z]+)\s*=\s*\"?([A-Za-z0-9_.=-]*)\"?\s*")


def application_server(authorization: str, *, origins: frozenset[str], now: float) -> str:
    """The public key (base64url without padding) that an Authorization field proves, "" if there is none.

    `origins` are the names of this push service, one of which is the audience; `now` in Unix seconds. Raises
    WebPushRefusal.
    """
    if not authorization:
        return ""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "vapid":
        raise WebPushRefusal("BadVapid", f"the scheme is vapid (RFC 8292 section 3), got {scheme[:20]!r}")
    found = [match for part in rest.split(",") if (match := _PARAMETER.fullmatch(part))]
    parameters = {match.group(1).lower(): match.group(2) for match in found}
    if len(found) != rest.count(",") + 1 or not {"t", "k"} <= parameters.keys():
        raise WebPushRefusal("BadVapid", "the parameters t and k are needed (RFC 8292 section 3)")
    text = parameters["k"].rstrip("=")
    _check(_read(parameters["t"]), _public_key(text), origins, now)
    return text


def _read(token: str) -> Jws:
    try:
        return read_jws(token)
    except BadToken as error:
        raise WebPushRefusal("BadVapid", f"t is no JWT: {error}") from error


def _public_key(text: str) -> ec.EllipticCurvePublicKey:
    try:
        point = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        # The other forms of a point begin with another byte, and are shorter.
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + point.removeprefix(b"\4"))
    except (binascii.Error, ValueError) as error:
        raise WebPushRefusal("BadVapid", "k is no uncompressed P-256 point in base64url") from error


def _check(token: Jws, key: ec.EllipticCurvePublicKey, origins: frozenset[str], now: float) -> None:
    if not is_signed_es256(token, key):
        raise WebPushRefusal("BadVapid", "t is not signed with ES256 by k")
    if token.claims.get("aud") not in origins:
        raise WebPushRefusal("BadVapid", "aud is not the origin of this push service")
    expires_at = numeric_date(token.claims, "exp")
    if expires_at is None or expires_at <= now - SKEW_S:
        raise WebPushRefusal("BadVapid", "exp is missing or over")
    if expires_at > now + LIFETIME_LIMIT_S + SKEW_S:
        raise WebPushRefusal("BadVapid", "exp is more than 24 hours away")
    subject = token.claims.get("sub")
    parts = urlsplit(subject if isinstance(subject, str) else "")
    if not (parts.scheme == "mailto" and "@" in parts.path) and not (parts.scheme == "https" and parts.hostname):
        raise WebPushRefusal("BadVapid", "sub is a mailto: or https: address")
