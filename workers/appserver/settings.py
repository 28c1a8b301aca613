"""[appserver] and [appserver.servers."push.example.org"]."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.settings import Secret, setting, tables

WAKE: Final = "wake"
IGNORE: Final = "ignore"


@dataclass(frozen=True)
class PeerSettings:
    """One XMPP server whose component we are; the table's name is the component's domain there, in quotes."""

    host: str = setting("127.0.0.1", help="Where that server takes components (XEP-0114).")
    port: int = setting(
        5347, least=1, most=65535, help="The port there; Prosody has 5347, ejabberd and MongooseIM 8888."
    )
    secret: Secret = setting(
        Secret(), secret=True, help='The component\'s password there; "file:PATH" reads it from a file.'
    )
    apps: list[str] = setting([], help="Names of [push.apps.NAME] that its users may register; [] = all.")
    content: str = setting(
        "none",
        choices=("none", "sender", "body"),
        help="The most of what that server tells that is kept and passed on to providers.",
    )
    unimportant: str = setting(
        IGNORE,
        choices=(IGNORE, WAKE),
        help="What is published without a body: servers do that for presence and chat states, or are told to leave "
        "bodies out.",
    )

    def faults(self) -> Iterator[str]:
        """Without a secret that server lets nobody in."""
        if not self.secret:
            yield "secret: must be set"
        if not self.host:
            yield "host: must be set"


@dataclass(frozen=True)
class AppServerSettings:
    """[appserver] The app server of other XMPP servers' users: push.<domain> there (docs/app-server.md)."""

    devices: int = setting(
        10, unit="devices", least=1, most=1000, help="Devices that one user may register; the oldest goes."
    )
    tokens_per_hour: int = setting(
        30, unit="tokens", least=1, most=10_000, help="New tokens that one user may register in an hour."
    )
    kept_days: int = setting(
        365, unit="days", least=1, most=3650, help="A device that nobody has heard of for so long is forgotten."
    )
    in_flight: int = setting(
        200, unit="requests", least=1, most=10_000, help="Requests of one server that are worked on at a time."
    )
    connect_timeout: float = setting(
        15.0, unit="s", least=1, most=120, help="From the connection to the accepted handshake."
    )
    ping_after: float = setting(
        60.0, unit="s", least=1, most=3600, help="A connection that was silent for so long is asked (XEP-0199)."
    )
    retry_most: float = setting(
        60.0, unit="s", least=1, most=3600, help="The longest wait before a lost connection is made anew."
    )
    servers: Mapping[str, PeerSettings] = tables(PeerSettings, help="The servers, by the component's domain there.")

    def faults(self) -> Iterator[str]:
        """Domains are compared as they come from the wire."""
        for domain in self.servers:
            if not domain or any(c in domain for c in "/@: ") or domain != domain.lower():
                yield f'servers: "{domain}" is no domain: lower case, without @, /, : or spaces'

    def warnings(self) -> Iterator[str]:
        """XEP-0114 has no encryption."""
        for domain, peer in self.servers.items():
            if not _is_loopback(peer.host):
                yield f"servers.{domain}: {peer.host} is spoken to without TLS; a tunnel or one machine is safer"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
