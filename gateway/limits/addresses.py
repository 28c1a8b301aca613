"""Whom a limit counts when it counts addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEIGHBOURS_V4, NEIGHBOURS_V6 = 24, 48
"""length of the prefix of what is one neighbourhood: where a device turns up again under another address"""

REMEMBERED: Final = 4096
"""addresses whose places are not computed again"""


def network_fault(text: str) -> str:
    """What is wrong with a network or address, "" if nothing is."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return f'"{text}" is no address or network, such as "192.0.2.7", "198.51.100.0/24" or "2001:db8::/32"'
    return ""


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks as a setting lists them. Raises ValueError."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def host_of(peer: str) -> str:
    """The host of `host:port` or `[IPv6]:port`, without a zone."""
    return peer.rpartition(":")[0].strip("[]").partition("%")[0]


class Addresses:
    """Puts hosts into groups: an address of IPv4, the network of IPv6 in which somebody may choose freely."""

    def __init__(
        self, *, prefix_v4: int, prefix_v6: int, shared: Sequence[str] = (), unlimited: Sequence[str] = ()
    ) -> None:
        self._prefixes = (prefix_v4, prefix_v6)
        self._shared = networks(shared)
        self._unlimited = networks(unlimited)
        self.group = lru_cache(REMEMBERED)(self._group)
        self.neighbourhood = lru_cache(REMEMBERED)(self._neighbourhood)
        self.is_shared = lru_cache(REMEMBERED)(self._is_shared)
        self.is_unlimited = lru_cache(REMEMBERED)(self._is_unlimited)

    def _group(self, host: str) -> str:
        return _within(host, *self._prefixes)

    def _neighbourhood(self, host: str) -> str:
        return _within(host, NEIGHBOURS_V4, NEIGHBOURS_V6)

    def _is_shared(self, host: str) -> bool:
        return is_within(host, self._shared)

    def _is_unlimited(self, host: str) -> bool:
        return is_within(host, self._unlimited)


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _within(host: str, prefix_v4: int, prefix_v6: int) -> str:
    address = _parsed(host)
    if address is None:
        return host
    prefix = prefix_v4 if address.version == 4 else prefix_v6
    if prefix == address.max_prefixlen:
        return str(address)
    return str(ipaddress.ip_network((address, prefix), strict=False))


def is_within(host: str, places: tuple[Network, ...]) -> bool:
    """Whether the address `host` lies in one of the networks; an IPv4 address that is mapped into IPv6 is itself."""
    address = _parsed(host)
    return address is not None and any(address in place for place in places)
