"""For whom the pages are: requests whose Host names this server.

A page from elsewhere in an operator's browser may have its own name point to 127.0.0.1 ("DNS rebinding"), and then read
what a dashboard on loopback says. It cannot choose its name: that stands in Host (RFC 9110 section 7.2).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class Hosts:
    """Whether a request is for us. `names` are ours, with all that is below them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(name.lower().strip(".") for name in names if name.strip("."))

    def has(self, host: str) -> bool:
        """`host` is as the header has it, with or without a port; "" if there was none, which no browser sends.

        Addresses are ours, and names without a dot (localhost, those of containers): nobody else can have these.
        """
        name = _name_of(host)
        if not host or _is_address(name):
            return True
        if not name:
            return False
        return "." not in name or name.endswith(".localhost") or any(_is_below(name, ours) for ours in self._names)


def _name_of(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_below(name: str, ours: str) -> bool:
    return name == ours or name.endswith(f".{ours}")
