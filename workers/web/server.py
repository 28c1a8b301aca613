"""HTTP/1.1 for the pages: listening sockets, and bounds for clients that dawdle or come in crowds."""

from __future__ import annotations

import socket
from typing import Any

import gevent
from gevent.baseserver import parse_address
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from gateway.settings import ConfigError
from workers.web.pages import Pages

MOST_CONNECTIONS = 100
"""per address; further ones wait in the kernel's backlog"""

BACKLOG = 128

REQUEST_S = 30.0
"""from the end of one request, or the connection, to the end of the next one's answer"""


class HttpServer:
    """Serves the pages at some addresses, "host:port" each; port 0 lets the system choose."""

    def __init__(self, addresses: list[str], pages: Pages) -> None:
        self._wanted = addresses
        self._pages = pages
        self._servers: list[Any] = []

    @property
    def addresses(self) -> list[str]:
        """Where it listens, with the real ports."""
        return [f"{_bracketed(server.server_host)}:{server.server_port}" for server in self._servers]

    def start(self) -> None:
        """Listen. Raises ConfigError if an address cannot be had; then none is listened on."""
        for address in self._wanted:
            family, where = parse_address(address)
            try:
                # Not left to gevent's server, which does not close what it could not bind.
                listening = socket.create_server(where, family=family, backlog=BACKLOG)
            except OSError as error:
                self.stop()
                raise ConfigError(f"listen.web: cannot listen on {address}: {error.strerror or error}") from error
            server = WSGIServer(
                listening, self._pages, handler_class=_Handler, spawn=Pool(MOST_CONNECTIONS), log=None, error_log=None
            )
            server.start()
            self._servers.append(server)

    def stop(self) -> None:
        """Stop listening and drop all connections."""
        for server in self._servers:
            server.stop(timeout=1)
        self._servers = []


class _Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    def handle_one_request(self) -> Any:
        """A client that does not send a request, or does not read its answer, is closed after REQUEST_S."""
        deadline = gevent.Timeout(REQUEST_S)
        try:
            with deadline:
                return super().handle_one_request()
        except gevent.Timeout as late:
            if late is not deadline:
                raise
            return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
