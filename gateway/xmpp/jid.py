"""RFC 7622: XMPP addresses, `localpart@domainpart/resourcepart`, prepared so that equal addresses are equal strings."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final, NoReturn

from gateway.xmpp.errors import ProtocolError

MAX_PART_BYTES: Final = 1023
"""RFC 7622 §3.2, §3.3, §3.4: octets of each part, after its preparation."""

_CACHED_LENGTH: Final = 256
"""Longer addresses are parsed each time: nobody's are, and somebody could fill the cache with them."""

_EXCLUDED: Final = re.compile("[\"&'/:<>@]")  # RFC 7622 §3.3.1
_PLAIN_LOCAL: Final = re.compile(r"[!#-%(-.0-9;=?A-Z\[-~]+")
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE | re.ASCII)
_PLAIN_RESOURCE: Final = re.compile("[ -~]+")
_IPV6_LITERAL: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\]")


class JIDError(ProtocolError):
    """The text is no JID. The message says which part is wrong, without repeating it."""

    metric = "jid_malformed"


class JID:
    """A prepared address. Immutable; equal and of one hash with every JID of the same text."""

    __slots__ = ("_bare", "_text", "domain", "local", "resource")

    local: str
    """"" if the address has none"""
    domain: str
    resource: str
    """"" if the address has none: then the JID is bare"""
    _text: str
    _bare: JID | None

    def __init__(self, local: str, domain: str, resource: str = "") -> None:
        """From parts that are prepared already; what comes from outside goes through `parse`."""
        bare = f"{local}@{domain}" if local else domain
        put = object.__setattr__
        put(self, "local", local)
        put(self, "domain", domain)
        put(self, "resource", resource)
        put(self, "_text", f"{bare}/{resource}" if resource else bare)
        put(self, "_bare", JID(local, domain) if resource else None)

    @staticmethod
    def parse(text: str) -> JID:
        """Prepare and check an address. Raises JIDError."""
        return _parse_cached(text) if len(text) <= _CACHED_LENGTH else _parse(text)

    @property
    def bare(self) -> JID:
        """Without the resourcepart."""
        return self._bare or self

    @property
    def is_bare(self) -> bool:
        return not self.resource

    @property
    def is_full(self) -> bool:
        return bool(self.resource)

    def with_resource(self, resource: str) -> JID:
        """The same account's address with this resourcepart, which is prepared and checked. Raises JIDError."""
        return JID(self.local, self.domain, _prepare_resource(resource))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"JID({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, JID) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[type[JID], tuple[str, str, str]]:
        return JID, (self.local, self.domain, self.resource)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a JID cannot change: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a JID cannot change: {name}")


def _parse(text: str) -> JID:
    """RFC 7622 §3.1: the first slash ends what belongs to the bare JID, and the first at-sign in that the localpart."""
    bare, slash, resource = text.partition("/")
    local, at, domain = bare.partition("@")
    if at and not local:
        raise JIDError("the localpart is empty")
    return JID(
        _prepare_local(local) if at else "",
        _prepare_domain(domain if at else bare),
        _prepare_resource(resource) if slash else "",
    )


_parse_cached = lru_cache(65536)(_parse)


def _prepare_local(local: str) -> str:
    """RFC 7622 §3.3."""
    if _PLAIN_LOCAL.fullmatch(local):
        prepared = local.lower()
    else:
        prepared = _enforce("UsernameCaseMapped", local, "localpart")
        if _EXCLUDED.search(prepared):
            raise JIDError("the localpart has a character that RFC 7622 excludes")
    return _of_fit_length(prepared, "localpart")


def _prepare_domain(domain: str) -> str:
    """RFC 7622 §3.2: an IP address literal, or a domain name in lower case with its labels in Unicode."""
    domain = domain.removesuffix(".")
    if _PLAIN_DOMAIN.fullmatch(domain) and "xn--" not in domain.lower():
        return _of_fit_length(domain.lower(), "domainpart")
    literal = _IPV6_LITERAL.fullmatch(domain)
    if literal:
        try:
            return f"[{ipaddress.IPv6Address(literal[1])}]"
        except ValueError as error:
            raise JIDError("the domainpart is no IPv6 address") from error
    import idna  # most servers never meet a name that needs it, and its tables take time to load

    _of_fit_length(domain, "domainpart")
    try:
        prepared = idna.decode(idna.encode(domain, uts46=True))
    except UnicodeError as error:
        raise JIDError("the domainpart is no domain name") from error
    if prepared.endswith("."):
        raise JIDError("the domainpart is no domain name")
    return _of_fit_length(prepared, "domainpart")


def _prepare_resource(resource: str) -> str:
    """RFC 7622 §3.4."""
    if _PLAIN_RESOURCE.fullmatch(resource):
        return _of_fit_length(resource, "resourcepart")
    return _of_fit_length(_enforce("OpaqueString", resource, "resourcepart"), "resourcepart")


def _enforce(profile: str, part: str, name: str) -> str:
    """RFC 8264: a string as a PRECIS profile prepares it."""
    import precis_i18n  # only for what is not plain ASCII: its tables take 5 ms to load

    _of_fit_length(part, name)
    try:
        prepared: str = precis_i18n.get_profile(profile).enforce(part)
    except UnicodeError as error:
        raise JIDError(f"the {name} has a character that {profile} does not allow") from error
    return prepared


def _of_fit_length(part: str, name: str) -> str:
    if not part:
        raise JIDError(f"the {name} is empty")
    try:
        length = len(part.encode())
    except UnicodeEncodeError as error:
        raise JIDError(f"the {name} is no Unicode text") from error
    if length > MAX_PART_BYTES:
        raise JIDError(f"the {name} is longer than {MAX_PART_BYTES} bytes")
    return part
