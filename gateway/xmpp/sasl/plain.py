"""RFC 4616: the PLAIN mechanism."""

from dataclasses import dataclass, field

from gateway.xmpp.errors import SaslCondition, SaslFailure


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """What a client sends: who it wants to act as ("" = itself), who it is, and its password."""

    authzid: str
    authcid: str
    password: str = field(repr=False)


def parse(initial: bytes) -> PlainRequest:
    """RFC 4616 §2: `[authzid] NUL authcid NUL passwd`. Raises SaslFailure(malformed-request)."""
    try:
        authzid, authcid, password = initial.decode().split("\0")
    except ValueError as exc:  # also UnicodeDecodeError
        raise SaslFailure(SaslCondition.MALFORMED_REQUEST, "PLAIN: not three parts of UTF-8") from exc
    if not authcid or not password:
        raise SaslFailure(SaslCondition.MALFORMED_REQUEST, "PLAIN: no user name or no password")
    return PlainRequest(authzid, authcid, password)
