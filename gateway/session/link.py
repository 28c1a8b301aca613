"""What a session needs of a transport; `transports/wire.py` is one. Sessions know no sockets."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.limits.visit import Visit


class TlsInfo(Protocol):
    """What was agreed in a TLS handshake."""

    @property
    def version(self) -> str:
        """e.g. TLSv1.3"""

    @property
    def cipher(self) -> str:
        """the cipher suite"""

    @property
    def bindings(self) -> Mapping[str, bytes]:
        """channel bindings by type (RFC 5056)"""


class Link(Protocol):
    """One connection: bytes in and out. Writing never blocks."""

    peer: str
    visit: Visit | None
    on_drained: Callable[[], None] | None

    @property
    def tls(self) -> TlsInfo | None:
        """None before TLS."""

    @property
    def backlog(self) -> int:
        """Bytes the socket has not taken yet."""

    @property
    def closed(self) -> bool:
        """Nothing can be read or written any more."""

    def read(self, size: int = 16384, *, timeout_s: float | None = None) -> bytes:
        """Wait for bytes; b"" when the connection is closed. Raises TimeoutError."""

    def write(self, data: bytes) -> None:
        """Hand over bytes."""

    def start_tls(self, context: ssl.SSLContext, *, timeout_s: float = 20) -> None:
        """The server's side of a handshake; waits, at most so long. Raises OSError or a WakegateError."""

    def close(self, flush_s: float = 1.0) -> None:
        """Flush for at most `flush_s` seconds, then close. May be called from any greenlet, and twice."""

    def abort(self) -> None:
        """Close at once."""
