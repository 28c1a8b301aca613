"""The XMPP server's end of a component's connection (XEP-0114), under a test's hand."""

from __future__ import annotations

import re
from typing import Any

import gevent
from gevent import socket

from gateway.xmpp import ns

DOMAIN = "push.peer.example"
SECRET = "component's"
HEADER = (
    f"<?xml version='1.0'?><stream:stream xmlns='{ns.COMPONENT}' xmlns:stream='{ns.STREAM}' from='{DOMAIN}' id='s1'>"
)


_IQ = re.compile(r"<iq\b([^>]*?)(?:/>|>.*?</iq>)", re.DOTALL)
_ATTRIBUTE = re.compile(r"(\w+)='([^']*)'")


class Peer:
    """An XMPP server for one component; what it is to do, the test says."""

    def __init__(self) -> None:
        self._listener: Any = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._connection: Any = None
        self.received = ""

    def accept(self) -> None:
        """The next connection."""
        if self._connection is not None:
            self._connection.close()
        with gevent.Timeout(10):
            self._connection, _ = self._listener.accept()
        self._connection.settimeout(10)
        self.received = ""

    def welcome(self) -> None:
        """The next connection, up to the accepted handshake."""
        self.accept()
        self.until("<stream:stream")
        self.send(HEADER)
        self.until("</handshake>")
        self.send("<handshake/>")

    def send(self, text: str) -> None:
        self._connection.sendall(text.encode())

    def until(self, text: str) -> str:
        """What came, up to a text."""
        while text not in self.received:
            data = self._connection.recv(65536)
            assert data, f"the component left before {text}; it said {self.received}"
            self.received += data.decode()
        found, _, self.received = self.received.partition(text)
        return found

    def next_answer(self) -> tuple[str, str]:
        """Type and id of the next iq; pings to itself, which a server would route back, are passed over. Raises
        EOFError when the component is gone.
        """
        while True:
            found = _IQ.search(self.received)
            if found is None:
                data = self._connection.recv(65536)
                if not data:
                    raise EOFError
                self.received += data.decode()
                continue
            self.received = self.received[found.end() :]
            attributes = dict(_ATTRIBUTE.findall(found[1]))
            if attributes["type"] in ("result", "error"):
                return attributes["type"], attributes["id"]

    def cut(self) -> None:
        self._connection.close()

    def close(self) -> None:
        self._listener.close()
        if self._connection is not None:
            self._connection.close()
