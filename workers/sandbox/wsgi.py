"""A few lines between gevent's HTTP/1.1 server and the sandbox's handlers: requests and responses as values."""

import errno
import json
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from workers.sandbox.listening import address_of, listen

BODY_LIMIT = 1_000_000
CONNECTION_LIMIT = 2000
NEVER_S = 600.0
READ_TIMEOUT_S = 30.0

StartResponse = Callable[[str, list[tuple[str, str]]], Callable[[bytes], object]]


@dataclass(frozen=True)
class HttpRequest:
    """One request. Header names are lower case; the path is without its query and still percent-encoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True)
class HttpResponse:
    """One response. `ending` other than "whole": a "truncated" body, "close" before a word, "ignore" for ever."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    headers: tuple[tuple[str, str], ...] = field(default=())
    ending: str = "whole"


HttpHandler = Callable[[HttpRequest], HttpResponse]


def json_response(value: Any, status: int = 200) -> HttpResponse:
    """A response with `value` as JSON."""
    return HttpResponse(status, json.dumps(value, indent=2).encode() + b"\n")


class HttpListener:
    """Serves a handler over plain HTTP/1.1 with keep-alive."""

    def __init__(self, handler: HttpHandler, address: tuple[str, int], *, count_connection: Callable[[], int]) -> None:
        self._handler = handler
        self._address = address
        self._count_connection = count_connection
        self._server: Any = None

    def start(self) -> tuple[str, int]:
        """Listen; returns the address with its real port. Raises OSError."""
        sock = listen(self._address)
        self._server = WSGIServer(
            sock, self._application, handler_class=_Handler, spawn=Pool(CONNECTION_LIMIT), log=None
        )
        self._server.wakegate_count_connection = self._count_connection
        self._server.start()
        return address_of(sock)

    def stop(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.stop(timeout=0)

    def _application(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request = _read(environ)
        if request is None:
            start_response("413 Request Entity Too Large", [("Content-Length", "0"), ("Connection", "close")])
            return []
        response = self._handler(request)
        if response.ending == "ignore":
            gevent.sleep(NEVER_S)
        if response.ending in ("close", "ignore"):
            _abort(environ)
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        headers += response.headers
        write = start_response(f"{response.status} {phrase(response.status)}", headers)
        if response.ending == "truncated":
            write(response.body[: len(response.body) // 2])
            _abort(environ, linger=True)
        return [response.body]


class _Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """Numbers its connection and shows its socket to the application, which may have to break it."""

    def handle(self) -> None:
        self.connection_number = self.server.wakegate_count_connection()
        super().handle()

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ["wakegate.socket"] = self.socket
        environ["wakegate.path"] = self.path.partition("?")[0]
        environ["wakegate.connection"] = self.connection_number
        return environ


def _read(environ: dict[str, Any]) -> HttpRequest | None:
    """The request, or None if its body is longer than BODY_LIMIT."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    with gevent.Timeout(READ_TIMEOUT_S, TimeoutError(errno.ETIMEDOUT, "the client does not send its body")):
        body = environ["wsgi.input"].read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        return None
    # Not PATH_INFO, which no longer tells a slash inside a token from one between segments.
    path = environ["wakegate.path"]
    query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
    return HttpRequest(environ["REQUEST_METHOD"], path, query, headers, body, environ["wakegate.connection"])


def _abort(environ: dict[str, Any], *, linger: bool = False) -> None:
    """Break the connection, without `linger` by a TCP reset; gevent's server takes this for a client that left."""
    if not linger:
        environ["wakegate.socket"].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError(errno.ECONNRESET, "broken off as a fault demands")


def phrase(status: int) -> str:
    """The reason phrase of an HTTP status (RFC 9110 section 15)."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
