"""A line to the real server that breaks where a test wants it to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer


class BadLine:
    """Forwards between a socket of its own and the server's.

    `breaks`: byte counts, one for each connection to come: after so many bytes of replies both ends are closed, though
    the server has done what it was asked. `refusals`: for each connection to come, what is answered instead.
    """

    def __init__(self, path: Path, server: str) -> None:
        self.url = f"unix://{path}"
        self.breaks: list[int] = []
        self.refusals: list[bytes] = []
        self.connections = 0
        self._open: set[Any] = set()
        self._server_path = server.removeprefix("unix://")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        self._server = StreamServer(listener, self._serve)
        self._server.start()

    def close(self) -> None:
        self._server.stop(timeout=1)

    def cut(self) -> None:
        """Close every connection."""
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: Any, _address: Any) -> None:
        self.connections += 1
        if self.refusals:
            with suppress(OSError):
                client.recv(65536)
                client.sendall(self.refusals.pop(0))
                while client.recv(65536):
                    pass
            return
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.connect(self._server_path)
        left = self.breaks.pop(0) if self.breaks else None
        self._open |= {client, server}
        up = gevent.spawn(self._forward, client, server)
        with suppress(OSError):
            while data := server.recv(65536):
                if left is not None and len(data) > left:
                    client.sendall(data[:left])
                    break
                left = None if left is None else left - len(data)
                client.sendall(data)
        up.kill()
        self._open -= {client, server}
        for end in (client, server):
            end.close()

    @staticmethod
    def _forward(source: Any, sink: Any) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def a_bad_line(path: Path, server: str) -> Iterator[BadLine]:
    line = BadLine(path, server)
    try:
        yield line
    finally:
        line.close()
