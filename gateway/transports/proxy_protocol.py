"""Who a client is that comes through a proxy: the PROXY protocol of HAProxy, versions 1 and 2.

The proxy says it ahead of the client's first byte, so whoever may connect could: it is believed from configured
networks alone, and from those it must come. https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent

from gateway.limits.addresses import is_within, networks

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""how version 2 begins (section 2.2)"""

MOST_TEXT: Final = 107
"""bytes of a line of version 1, its end included (section 2.1)"""

MOST_BYTES: Final = 2048
"""of addresses and further values in version 2; what cloud load balancers add is below 500"""

HEADER_S: Final = 5.0
"""from the connection until its header is there"""

_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_LENGTHS: Final = {_TCP4: 4, _TCP6: 16}

Source = tuple[str, int]
"""host, port"""


class BadHeader(Exception):
    """What came first is no header of the PROXY protocol."""


class Proxies:
    """The proxies that are believed: addresses and networks, as the setting lists them. Raises ValueError."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._networks = networks(trusted)

    def __contains__(self, host: object) -> bool:
        return bool(self._networks) and is_within(str(host), self._networks)


def read_source(connection: Any) -> Source | None:
    """Whom the proxy speaks for; None if for itself (a health check), or if it does not know. Nothing behind the header
    is taken. Raises BadHeader, OSError.
    """
    with gevent.Timeout(HEADER_S, BadHeader(f"no header of the PROXY protocol within {HEADER_S:g} s")):
        start = _exactly(connection, len(SIGNATURE))
        if start == SIGNATURE:
            return _binary(lambda count: _exactly(connection, count))
        if start.startswith(b"PROXY "):
            while not start.endswith(b"\r\n"):
                if len(start) >= MOST_TEXT:
                    raise BadHeader("a line of the PROXY protocol without an end")
                start += _exactly(connection, 1)
            return _text(start[:-2])
        raise BadHeader("it does not begin with the PROXY protocol")


def _exactly(connection: Any, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise BadHeader("the connection ended within the header of the PROXY protocol")
        data += more
    return data


def _text(line: bytes) -> Source | None:
    match line.decode("ascii", "replace").split(" "):
        case ["PROXY", "UNKNOWN", *_]:
            return None
        case ["PROXY", "TCP4" | "TCP6" as family, source, target, port, target_port]:
            version = 4 if family == "TCP4" else 6
            _address(target, version)
            _port(target_port)
            return _address(source, version), _port(port)
    raise BadHeader("a line of the PROXY protocol that cannot be read")


def _binary(read: Callable[[int], bytes]) -> Source | None:
    command, family, length = struct.unpack("!BBH", read(4))
    if command not in (_LOCAL, _PROXY):
        raise BadHeader(f"version and command 0x{command:02x} of the PROXY protocol")
    if length > MOST_BYTES:
        raise BadHeader(f"{length} bytes in a header of the PROXY protocol, {MOST_BYTES} are allowed")
    data = read(length)
    size = _LENGTHS.get(family)
    if command == _LOCAL or size is None:  # UNIX sockets and datagrams name nobody that could be counted
        return None
    if length < 2 * size + 4:
        raise BadHeader("a header of the PROXY protocol that is too short for its addresses")
    host = ipaddress.ip_address(data[:size])
    (port,) = struct.unpack_from("!H", data, 2 * size)
    return str(host), port


def _address(text: str, version: int) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise BadHeader("an address in the PROXY protocol that is none") from None
    if found.version != version:
        raise BadHeader("an address of another family in the PROXY protocol")
    return str(found)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise BadHeader("a port in the PROXY protocol that is none")
    return int(text)
