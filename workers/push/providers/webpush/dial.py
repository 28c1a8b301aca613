"""Connections to hosts that users named: looked up by us, checked, and made to the very address that was checked.

Between a check and a second lookup a name could have changed its address ("DNS rebinding"); here there is no second
one.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from itertools import zip_longest
from typing import Final

from workers.push.providers.webpush.addresses import is_public
from workers.push.providers.webpush.endpoint import EndpointError
from workers.push.providers.webpush.names import Lookup, UnknownHostError

TRIED_MOST: Final = 4
"""Addresses of one host that are tried, one after the other."""


class Dialer:
    """`dial(host, port, timeout_s)` is a TCP connection."""

    def __init__(self, lookup: Lookup, *, allow_private: bool) -> None:
        self._lookup = lookup
        self._allow_private = allow_private

    def __call__(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """Raises EndpointError if any address of the host is not public: who mixes them is up to no good. Raises
        OSError if it cannot be reached in time.
        """
        deadline = time.monotonic() + timeout_s
        addresses = self._lookup(host, timeout_s)
        if not self._allow_private and not all(map(is_public, addresses)):
            raise EndpointError("endpoint address not public")
        fault: OSError = UnknownHostError("the host has no address")
        tried = _in_turn(addresses)[:TRIED_MOST]
        for number, address in enumerate(tried):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            try:
                # A part of the time for each: one that swallows everything must not keep us from the next.
                return _connected(address, port, left_s / (len(tried) - number))
            except OSError as error:
                fault = error
        raise fault


def _in_turn(addresses: list[str]) -> list[str]:
    """One of IPv4, one of IPv6, and so on: either may be broken on the way, and a name may have many of one kind."""
    old = [address for address in addresses if ":" not in address]
    new = [address for address in addresses if ":" in address]
    return [address for pair in zip_longest(old, new) for address in pair if address is not None]


def _connected(address: str, port: int, timeout_s: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def in_brief(error: Exception) -> str:
    """What went wrong, in words that hold neither host nor path: errors of TLS and HTTP like to quote both."""
    if isinstance(error, UnknownHostError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate is not valid for this host"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'failed'}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__
