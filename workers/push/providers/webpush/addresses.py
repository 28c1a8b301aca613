"""Which IP addresses a server may ask on behalf of somebody it does not know (server-side request forgery)."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

_IPV4_REFUSED: Final = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890)
    IPv4Network("192.88.99.0/24"),  # relays for 6to4 (RFC 7526)
)

_IPV6_UNICAST: Final = IPv6Network("2000::/3")
_IPV6_REFUSED: Final = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them (RFC 2928)
    IPv6Network("2002::/16"),  # 6to4, which hides an IPv4 address (RFC 7526)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
)

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Where only IPv6 is spoken, the resolver puts the IPv4 address of everybody else in here (RFC 6052)."""


def is_public(text: str) -> bool:
    """Is this an address of the open internet? What is private, shared (RFC 6598), loopback, link-local, multicast,
    reserved or for documentation is not, nor an IPv6 address that leads to an IPv4 one, NAT64 of a public one excepted.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address in _NAT64:
        address = IPv4Address(int(address) & 0xFFFFFFFF)
    if isinstance(address, IPv4Address):
        is_ordinary = not any(address in network for network in _IPV4_REFUSED)
    else:
        is_ordinary = address in _IPV6_UNICAST and not any(address in network for network in _IPV6_REFUSED)
    return is_ordinary and address.is_global and not (address.is_multicast or address.is_reserved)
