"""Where requests go: name, port, and how its TLS is proven."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import gevent

from workers.push.http2.tls import TlsSocket

HTTP2: Final = "h2"
HTTP1: Final = "http/1.1"


class LacksHttp2(ConnectionError):
    """The server is there, and chose another protocol (ALPN, RFC 7301)."""


@dataclass(frozen=True)
class Origin:
    """An https origin. `ca_file` "" trusts the system's authorities; `certificate_file` is shown to the server if not
    "". `alpn`: what is offered; "h2" first.
    """

    host: str
    port: int
    ca_file: str = ""
    certificate_file: str = field(default="", repr=False)
    alpn: tuple[str, ...] = (HTTP2,)

    @classmethod
    def of(cls, url: str, *, ca_file: str = "", certificate_file: str = "", alpn: tuple[str, ...] = (HTTP2,)) -> Origin:
        """Read `https://host[:port]`. Raises ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"an https://host:port address is needed, got {url!r}")
        return cls(parts.hostname, parts.port or 443, ca_file, certificate_file, alpn)

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
        context.set_alpn_protocols(list(self.alpn))
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file)
        return context

    def connect(self, context: ssl.SSLContext, timeout_s: float) -> TlsSocket:
        """A TLS connection that speaks HTTP/2, within `timeout_s` in all.

        Raises LacksHttp2 if the server has chosen something else, else OSError (which ssl.SSLError is one of).
        """
        deadline = time.monotonic() + timeout_s
        with gevent.Timeout(timeout_s, TimeoutError(f"no connection within {timeout_s:g} s")):
            raw = self._dial(deadline)
            try:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock = TlsSocket(raw, context, self.host)
            except BaseException:
                raw.close()
                raise
        if sock.selected_alpn_protocol() != HTTP2:
            sock.close()
            raise LacksHttp2(f"{self.host}:{self.port} does not speak HTTP/2")
        sock.settimeout(None)
        return sock

    def _dial(self, deadline: float) -> socket.socket:
        """TCP to the first address that answers. The name is looked up afresh each time, as Apple asks: its addresses
        change, and those that are given out are the ones that are well. No address may use up the others' time.
        """
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        fault: OSError = OSError("the name has no address")
        for place, (family, kind, protocol, _, address) in enumerate(found):
            raw = socket.socket(family, kind, protocol)
            try:
                raw.settimeout(max(0.05, (deadline - time.monotonic()) / (len(found) - place)))
                raw.connect(address)
            except OSError as error:
                raw.close()
                fault = error
            except BaseException:
                raw.close()
                raise
            else:
                raw.settimeout(max(0.05, deadline - time.monotonic()))
                return raw
        raise fault
