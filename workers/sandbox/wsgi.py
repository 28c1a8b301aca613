"""A few lines between gevent's HTTP/1.1 server and the sandbox's handlers."""

import errno
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import gevent
from gevent.pywsgi import WSGIHandler, WSGIServer

from workers.sandbox.http import BODY_LIMIT, NEVER_S, HttpHandler, HttpRequest, phrase, pieces

READ_TIMEOUT_S = 30.0

StartResponse = Callable[[str, list[tuple[str, str]]], Callable[[bytes], object]]


class Http1Server:
    """Serves a handler on sockets that a listener accepted. It listens on nothing itself."""

    def __init__(self, handler: HttpHandler) -> None:
        self._handler = handler
        # gevent's server holds what its handlers want to know; it is never started.
        self._server = WSGIServer(("127.0.0.1", 0), self._application, log=None)

    def serve(self, sock: Any, address: tuple[Any, ...], connection: int) -> None:
        """Answer one request after another until the client leaves; then the socket is closed."""
        handler = _Handler(sock, address, self._server)
        handler.connection_number = connection
        try:
            handler.handle()
        finally:
            with suppress(OSError):
                sock.close()

    def _application(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request = _read(environ)
        if request is None:
            start_response("413 Request Entity Too Large", [("Content-Length", "0"), ("Connection", "close")])
            return
        response = self._handler(request)
        if response.ending == "ignore":
            gevent.sleep(NEVER_S)
        if response.ending not in ("whole", "truncated"):
            _abort(environ)
        headers = [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        headers += response.headers
        write = start_response(f"{response.status} {phrase(response.status)}", headers)
        if response.ending == "truncated":
            write(response.body[: len(response.body) // 2])
            _abort(environ, linger=True)
        for piece, pause_s in pieces(response.body, response.slow_s):
            gevent.sleep(pause_s)
            yield piece


class _Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """Numbers its connection and shows its socket to the application, which may have to break it."""

    connection_number = 0

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
        try:
            body = environ["wsgi.input"].read(BODY_LIMIT + 1)
        except TimeoutError:
            raise
        except OSError as left:  # without a number, which gevent's server would take for a fault of ours
            raise ConnectionResetError(errno.ECONNRESET, "the client left before its body had come") from left
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
