"""Where requests go: name, port, and how its TLS is proven."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

ALPN: Final = "h2"


@dataclass(frozen=True)
class Origin:
    """An https origin. `ca_file` "" trusts the system's authorities; `certificate_file` is shown to the server if not
    "".
    """

    host: str
    port: int
    ca_file: str = ""
    certificate_file: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, *, ca_file: str = "", certificate_file: str = "") -> Origin:
        """Read `https://host[:port]`. Raises ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"an https://host:port address is needed, got {url!r}")
        return cls(parts.hostname, parts.port or 443, ca_file, certificate_file)

    @property
    def authority(self) -> bytes:
        """For the `:authority` header (RFC 9113, section 8.3.1)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == 443 else f"{host}:{self.port}").encode("ascii")

    def tls(self) -> ssl.SSLContext:
        """A client context for HTTP/2. Raises OSError or ssl.SSLError if a file cannot be read or is not what it should
        be.
        """
        context = ssl.create_default_context(cafile=self.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols([ALPN])
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file)
        return context

    def connect(self, context: ssl.SSLContext, timeout_s: float) -> ssl.SSLSocket:
        """A TLS connection that speaks HTTP/2. The name is looked up afresh each time, as Apple asks.

        Raises OSError (which ssl.SSLError is one of) if that does not work within `timeout_s` for each step.
        """
        raw = socket.create_connection((self.host, self.port), timeout=timeout_s)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = context.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise
        if sock.selected_alpn_protocol() != ALPN:
            sock.close()
            raise ConnectionError(f"{self.host}:{self.port} does not speak HTTP/2")
        sock.settimeout(None)
        return sock
