"""Bytes in, bytes out: a stranger at the door, who keeps to no rule."""

import re
import time
from contextlib import closing, suppress

from gevent import socket

from gateway.xmpp import ns
from tests.support.pieces import Pieces

HEADER = (
    f"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAM}'>"
)


class Stranger:
    """One TCP connection; with `tls` to the port for direct TLS, though without a handshake."""

    def __init__(self, house: Pieces, *, tls: bool = False) -> None:
        self._sock = socket.create_connection(("127.0.0.1", house.ports["c2s_tls" if tls else "c2s"]), timeout=10)
        self.heard = b""

    def send(self, data: bytes | str) -> "Stranger":
        """Sends, as far as the server still listens."""
        with suppress(OSError):
            self._sock.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def until_closed(self, timeout_s: float = 10.0) -> bytes:
        """Everything the server said, once it has closed the connection. Raises TimeoutError if it does not."""
        deadline = time.monotonic() + timeout_s
        with closing(self._sock), suppress(ConnectionError):
            self._sock.settimeout(timeout_s)
            while data := self._sock.recv(65536):
                self.heard += data
                self._sock.settimeout(max(0.01, deadline - time.monotonic()))
        return self.heard

    def until(self, text: bytes, timeout_s: float = 10.0) -> bytes:
        """Everything the server said, once `text` is in it."""
        self._sock.settimeout(timeout_s)
        while text not in self.heard:
            data = self._sock.recv(65536)
            assert data, f"the connection ended after {self.heard!r}"
            self.heard += data
        return self.heard

    def close(self) -> None:
        self._sock.close()


def conditions(said: bytes) -> list[str]:
    """The defined conditions of the stream errors in it."""
    pattern = rb"<stream:error>.*?<([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
    return [name.decode() for name in re.findall(pattern, said, re.DOTALL)]
