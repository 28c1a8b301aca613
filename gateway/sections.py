"""[server], [listen], [components] and [limits]: the settings that several layers share. All others stand beside
their code.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from gateway.limits.addresses import network_fault
from gateway.setting_values import address_fault
from gateway.settings import Secret, setting, tables


@dataclass(frozen=True)
class ServerSettings:
    """[server] Who this server is and where it keeps its files."""

    domains: list[str] = setting(["localhost"], least=1, help="The domains whose accounts live here.")
    data_dir: Path = setting(Path("data"), help="The embedded Redis' files, the self-signed certificate.")
    node: str = setting("", help='Name of this gateway process, unique among all nodes; "" = host name and process id.')
    strict_file_modes: bool = setting(
        True,
        help="Nothing starts if others on this machine may write a file with a secret, data_dir or the configuration."
        " false: only warn, where a file system knows no modes. docs/security.md has the reasons.",
    )

    @property
    def node_name(self) -> str:
        """`node`, or what stands for it."""
        return self.node or _process_name()

    def faults(self) -> Iterator[str]:
        """Domains are compared as they come from the wire: lower case, without a resource or a port."""
        for domain in self.domains:
            if not _is_domain(domain):
                yield f'domains: "{domain}" is no domain: lower case, without @, /, : or spaces'
        if len(set(self.domains)) < len(self.domains):
            yield "domains: each may be named once"


def _is_domain(text: str) -> bool:
    return bool(text) and not any(c in text for c in "/@: ") and text == text.lower()


@cache
def _process_name() -> str:
    """Host name and process id; the random part tells a process from its predecessor in a container,
    where ids repeat.
    """
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


@dataclass(frozen=True)
class ListenSettings:
    """[listen] Lists of "host:port"; [] switches one off."""

    c2s: list[str] = setting(["127.0.0.1:5222"], help="XMPP clients, STARTTLS (RFC 6120).")
    c2s_tls: list[str] = setting(["127.0.0.1:5223"], help="XMPP clients, direct TLS (XEP-0368).")
    websocket: list[str] = setting([], help="XMPP over WebSocket (RFC 7395), at /xmpp-websocket. Not available yet.")
    components: list[str] = setting([], help="External components (XEP-0114): plain TCP, so best on loopback alone.")
    web: list[str] = setting(["127.0.0.1:5281"], help="Admin API, dashboard, /metrics, /healthz.")
    web_hosts: list[str] = setting(
        [],
        help="Names under which the pages of `web` are asked for, with those below them, beside addresses, names "
        "without a dot and server.domains. Others are refused: else a page elsewhere could read the dashboard "
        "(DNS rebinding).",
    )
    proxy_protocol: list[str] = setting(
        [],
        help="Addresses and networks of proxies that begin each client's connection with the PROXY protocol (version 1 "
        "or 2), which says the client's address. Theirs have to; it is heard from nobody else.",
    )

    def faults(self) -> Iterator[str]:
        """Each address must be readable, and none may be given twice."""
        seen: dict[str, str] = {}
        for text in self.proxy_protocol:
            if fault := network_fault(text):
                yield f"proxy_protocol: {fault}"
        for name in self.web_hosts:
            if not name or set(name) & set("/:@* "):
                yield f'web_hosts: "{name}" is no name, such as "admin.example.org"'
        for field in fields(self):
            if field.name in ("proxy_protocol", "web_hosts"):
                continue
            for address in getattr(self, field.name):
                fault = address_fault(address)
                if fault:
                    yield f'{field.name}: "{address}": {fault}'
                elif address in seen and not address.endswith(":0"):
                    yield f'{field.name}: "{address}" is already used by {seen[address]}'
                seen[address] = field.name

    def warnings(self) -> Iterator[str]:
        """What may be configured and has no effect yet."""
        if self.websocket:
            yield f"websocket: not served yet; nothing will listen on {', '.join(self.websocket)}"


@dataclass(frozen=True)
class ComponentSettings:
    """One external component (XEP-0114); the table's name is its domain, in quotes."""

    secret: Secret = setting(
        Secret(), secret=True, help='What the component knows as its password; "file:PATH" reads it from a file.'
    )
    name: str = setting("", help="What clients show for it among the server's items (XEP-0030).")

    def faults(self) -> Iterator[str]:
        """Without a secret anybody could be the component."""
        if not self.secret:
            yield "secret: must be set"


@dataclass(frozen=True)
class ComponentsSettings:
    """[components] External components (XEP-0114), which connect to the addresses `components` of [listen]."""

    component_conflict_resolve: str = setting(
        "kick_new",
        choices=("kick_new", "kick_old"),
        help="Who gets `conflict` when a component connects that is connected already.",
    )
    component_wait: int = setting(
        0,
        unit="s",
        least=0,
        most=3600,
        help="How long stanzas wait for a component whose connection ended; 0 = they go back to their senders at once.",
    )
    domains: Mapping[str, ComponentSettings] = tables(ComponentSettings)

    def faults(self) -> Iterator[str]:
        """Domains are compared as they come from the wire."""
        for domain in self.domains:
            if not _is_domain(domain):
                yield f'domains: "{domain}" is no domain: lower case, without @, /, : or spaces'


RATE_UNIT = "a second, burst"


@dataclass(frozen=True)
class LimitSettings:
    """[limits] What one client, or all of them together, may ask of a gateway process. docs/limits.md says what each of
    them costs whom. Pairs are [how much a second, how much at once]; [] = no limit.
    """

    max_connections: int = setting(20000, unit="connections", least=1, most=1000000, help="Per gateway process.")
    max_connections_per_address: int = setting(
        5000, unit="connections", least=0, most=1000000, help="From one address; 0 = no limit."
    )
    max_unauthenticated: int = setting(
        5000,
        unit="connections",
        least=1,
        most=1000000,
        help="On which nobody has logged in yet. Beyond it the one that has taken longest has to go.",
    )
    max_unauthenticated_per_address: int = setting(
        1000, unit="connections", least=0, most=1000000, help="The same, from one address; 0 = no limit."
    )
    shared_addresses: list[str] = setting(
        [], help="Load balancers, gateways of mobile networks: behind them are many, so nothing is counted by address."
    )
    unlimited_addresses: list[str] = setting(
        ["127.0.0.0/8", "::1"],
        help="The operator's own tools: no limit of number, speed, tries or load. A proxy on this machine that passes "
        "strangers on belongs into shared_addresses.",
    )
    unlimited_jids: list[str] = setting([], help="Accounts, such as bots, that may send as fast as they like.")
    address_prefix_v4: int = setting(32, unit="bits", least=8, most=32, help="What counts as one address of IPv4.")
    address_prefix_v6: int = setting(64, unit="bits", least=16, most=128, help="What counts as one address of IPv6.")
    negotiation_timeout: float = setting(
        30.0, unit="s", least=1, most=600, help="From the connection to the bound resource; then it is closed."
    )
    header_timeout: float = setting(
        10.0, unit="s", least=1, most=600, help="For each stream header before the log-in, part of the above."
    )
    authentication_timeout: float = setting(
        20.0, unit="s", least=1, most=600, help="From TLS to the log-in, part of the above."
    )
    login_queue_time: float = setting(
        1.5,
        unit="s",
        least=0.1,
        most=60,
        help="When all log in at once they take turns; who would have to wait longer is refused, and may come again.",
    )
    see_other_host: str = setting(
        "",
        help='"host:port" to which clients are sent that a busy process does not take; "" = they are told to wait. '
        "When a process stops, [nodes] see_other_host counts instead.",
    )
    overload_lag: float = setting(
        1.0,
        unit="s",
        least=0,
        most=60,
        help="A process that runs so late, for two seconds on end, binds no new sessions, but resumes; 0 = never.",
    )
    overload_waiting: int = setting(
        1500,
        unit="operations",
        least=0,
        most=1000000,
        help="The same when Redis owes it so many answers; 0 = never. At 2000 nothing more is read from anybody.",
    )
    address_handshakes: list[int] = setting([50, 1000], unit=RATE_UNIT, most=2, help="TLS handshakes with one address.")
    address_failed_logins: list[int] = setting(
        [30, 100], unit="a minute, burst", most=2, help="From one address; the next ones wait, and then are refused."
    )
    account_failed_logins: list[int] = setting(
        [12, 30],
        unit="a minute, burst",
        most=2,
        help="To one account. Where its owner has logged in before is counted apart from strangers.",
    )
    unauthenticated_bytes: list[int] = setting([16384, 65536], unit=RATE_UNIT, most=2, help="Before the log-in.")
    unauthenticated_stanzas: list[int] = setting([10, 50], unit=RATE_UNIT, most=2, help="Before the log-in.")
    connection_bytes: list[int] = setting([262144, 8388608], unit=RATE_UNIT, most=2, help="Read from one connection.")
    connection_stanzas: list[int] = setting([100, 2000], unit=RATE_UNIT, most=2, help="Read from one connection.")
    account_bytes: list[int] = setting([524288, 16777216], unit=RATE_UNIT, most=2, help="Of all its connections.")
    account_stanzas: list[int] = setting([200, 4000], unit=RATE_UNIT, most=2, help="Of all its connections.")
    address_bytes: list[int] = setting([16777216, 134217728], unit=RATE_UNIT, most=2, help="Of all at one address.")
    address_stanzas: list[int] = setting([5000, 50000], unit=RATE_UNIT, most=2, help="Of all at one address.")
    archive_queries: list[int] = setting([10, 100], unit=RATE_UNIT, most=2, help="Of one account (XEP-0313).")
    max_archive_queries: int = setting(
        4, unit="queries", least=1, most=1000, help="Of one account at the same time; others wait for their turn."
    )
    max_stanza_bytes: int = setting(
        262144, unit="bytes", least=10000, most=16777216, help="A larger stanza ends the stream with policy-violation."
    )
    max_stanza_depth: int = setting(64, unit="levels", least=8, most=1000, help="Elements inside elements.")
    max_attributes: int = setting(64, unit="attributes", least=8, most=1000, help="Of one element.")
    max_auth_failures: int = setting(5, unit="tries", least=1, most=100, help="Then the stream is closed.")
    idle_timeout: float = setting(
        900.0,
        unit="s",
        least=10,
        most=86400,
        help="A client silent for so long is asked; no answer ends the connection.",
    )
    write_timeout: float = setting(
        60.0, unit="s", least=1, most=3600, help="A client that takes no bytes for so long is taken for lost."
    )

    def faults(self) -> Iterator[str]:
        """Networks that are none, pairs that are none, hosts that nobody can be sent to."""
        for name in ("shared_addresses", "unlimited_addresses"):
            for text in getattr(self, name):
                if fault := network_fault(text):
                    yield f"{name}: {fault}"
        for field in fields(self):
            pair = getattr(self, field.name)
            is_pair = isinstance(pair, list) and pair and not isinstance(pair[0], str)
            if is_pair and (len(pair) != 2 or min(pair) < 1):
                yield f"{field.name}: two numbers from 1 on are needed, [how many come back, how many at once], or []"
        fault = address_fault(self.see_other_host, least_port=1) if self.see_other_host else ""
        if fault:
            yield f'see_other_host: "{self.see_other_host}": {fault}'
