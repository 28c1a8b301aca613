"""TLS over a gevent socket through memory (`ssl.MemoryBIO`): one read takes all that has come.

A gevent `SSLSocket` hands out one TLS record at a time, for two calls of the system each; a provider's answers are a
record each, so that under load reading them cost more than understanding them.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

READ_SIZE: Final = 65_536


class TlsSocket:
    """A connection after its handshake. One greenlet may read while another writes."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, host: str) -> None:
        """Shakes hands, as long as the socket's own timeout allows for each step. Raises OSError (which ssl.SSLError is
        one of); the socket is the caller's then.
        """
        self._raw = raw
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._shake_hands()

    def selected_alpn_protocol(self) -> str | None:
        """What the server chose (RFC 7301)."""
        return self._tls.selected_alpn_protocol()

    def settimeout(self, seconds: float | None) -> None:
        """For each step of what blocks."""
        self._raw.settimeout(seconds)

    def recv(self) -> bytes:
        """Wait for bytes, and take all that are there; b"" when the peer has ended. Raises OSError."""
        while True:
            data = self._decrypted()
            if data is not None:
                return data
            encrypted = self._raw.recv(READ_SIZE)
            if encrypted:
                self._incoming.write(encrypted)
            else:
                self._incoming.write_eof()

    def sendall(self, data: bytes) -> None:
        """Send everything. Raises OSError."""
        self._tls.write(data)
        # With it goes what reading has left here to be sent, as the answer to a change of keys.
        self._raw.sendall(self._outgoing.read())

    def close(self) -> None:
        """End, without a word to the peer: it could block."""
        self._raw.close()

    def _decrypted(self) -> bytes | None:
        """What is there without waiting, None if nothing is, b"" at the end."""
        parts = []
        try:
            while part := self._tls.read(READ_SIZE):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts) if parts else None
        except ssl.SSLEOFError:  # the peer went without its last word, as many do
            pass
        return b"".join(parts)

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError:
                self._flush()  # the alert that tells the peer why
                raise
            else:
                self._flush()
                return
            encrypted = self._raw.recv(READ_SIZE)
            if not encrypted:
                raise ConnectionError("the connection ended during the TLS handshake")
            self._incoming.write(encrypted)

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.sendall(self._outgoing.read())
