"""From a host's name to its addresses, within a time, and without keeping anybody else from doing the same."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Final

import dns.exception
import dns.resolver

CACHED_MOST: Final = 1000

Lookup = Callable[[str, float], list[str]]
"""`lookup(host, timeout_s)`: its addresses, at least one. Raises UnknownHostError."""


class UnknownHostError(OSError):
    """A name has no address, or nobody says. The text does not hold the name."""


class PublicNames:
    """Asks the machine's name servers, cooperatively.

    Not getaddrinfo, which blocks one thread of the few there are: a name whose servers never answer, and every user can
    have one, would in the end stop the lookups for all providers.
    """

    def __init__(self, resolver: dns.resolver.Resolver | None = None) -> None:
        self._resolver = resolver

    def __call__(self, host: str, timeout_s: float) -> list[str]:
        """See `Lookup`."""
        if _is_address(host):
            return [host]
        try:
            answers = self._ready().resolve_name(host, lifetime=timeout_s, search=False)
        except dns.resolver.NXDOMAIN:
            raise UnknownHostError("the host does not exist") from None
        except (
            dns.resolver.NoAnswer,
            dns.resolver.NoResolverConfiguration,
            dns.name.LabelTooLong,
            dns.name.EmptyLabel,
        ):
            raise UnknownHostError("the host has no address") from None
        except dns.exception.DNSException:
            raise UnknownHostError("the host's name servers do not answer") from None
        return list(answers.addresses())

    def _ready(self) -> dns.resolver.Resolver:
        if self._resolver is None:
            self._resolver = dns.resolver.Resolver()
            self._resolver.cache = dns.resolver.LRUCache(CACHED_MOST)
        return self._resolver


def local_names(host: str, timeout_s: float) -> list[str]:
    """See `Lookup`: as the machine itself resolves names, /etc/hosts included. For closed networks, whose users are
    trusted.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnknownHostError("the host has no address") from None
    return [str(entry[4][0]) for entry in found]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
