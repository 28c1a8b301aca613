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

from gateway.setting_values import address_fault
from gateway.settings import Secret, setting, tables


@dataclass(frozen=True)
class ServerSettings:
    """[server] Who this server is and where it keeps its files."""

    domains: list[str] = setting(["localhost"], least=1, help="The domains whose accounts live here.")
    data_dir: Path = setting(Path("data"), help="The embedded Redis' files, the self-signed certificate.")
    node: str = setting("", help='Name of this gateway process, unique among all nodes; "" = host name and process id.')

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

    def faults(self) -> Iterator[str]:
        """Each address must be readable, and none may be given twice."""
        seen: dict[str, str] = {}
        for field in fields(self):
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


@dataclass(frozen=True)
class LimitSettings:
    """[limits] What one client, or all of them together, may ask of a gateway process."""

    max_connections: int = setting(20000, unit="connections", least=1, most=1000000, help="Per gateway process.")
    negotiation_timeout: float = setting(
        30.0, unit="s", least=1, most=600, help="From the connection to the bound resource; then it is closed."
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
