"""A pool of HTTP/1.1 connections to one origin, for greenlets: kept alive, bounded, every request with a deadline."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
from gevent.lock import BoundedSemaphore

from workers.push.reply import Processed, Reply, Result, Unanswered

BODY_LIMIT: Final = 65_536
ANSWER_LIMIT: Final = 262_144
"""Bytes of an answer with its headers, and with all that came before it (RFC 9110, section 15.2)."""

IDLE_S: Final = 50.0
"""A connection that was idle for longer is not used again: servers and address translators forget them after a minute.
"""


Dial = Callable[[str, int, float], socket.socket]
"""`dial(host, port, timeout_s)`: a TCP connection. Raises OSError, and what its maker says."""


def in_full(error: Exception) -> str:
    """What went wrong, as the error itself says it."""
    return str(error) if isinstance(error, OSError) and str(error) else f"{type(error).__name__}: {error}"


class _Meter(io.RawIOBase):
    """Reads what a server sends until it is too much: interim answers and trailers come without end, if it likes."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._left = ANSWER_LIMIT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self._left <= 0:
            raise http.client.HTTPException("the answer is too long")
        count = self._raw.readinto(buffer)
        self._left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer of bounded length, its headers included."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp: io.BufferedReader = io.BufferedReader(_Meter(self.fp.detach()))


@dataclass(eq=False)
class _Kept:
    connection: http.client.HTTPConnection
    used_at: float
    is_fresh: bool = True


class HttpPool:
    """`request` blocks the calling greenlet. At most `connections` are open; the last used is taken first."""

    def __init__(
        self,
        base_url: str,
        *,
        ca_file: str = "",
        connections: int = 50,
        connect_timeout_s: float = 10.0,
        name: str = "",
        dial: Dial | None = None,
        describe: Callable[[Exception], str] = in_full,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises ValueError for an address that is not http(s)://host[:port].

        `name`, `describe`: what the peer and its errors are called in reasons. `dial` makes the connections instead of
        the system. `tls` is used in place of a context of its own, for many pools that trust the same.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"an http(s)://host:port address is needed, got {base_url!r}")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._is_tls = parts.scheme == "https"
        self._name = name or f"{self._host}:{self._port}"
        self._ca_file = ca_file
        self._dial = dial
        self._describe = describe
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._idle: deque[_Kept] = deque()
        self._places = BoundedSemaphore(connections)
        self._most = connections
        self._asking = 0
        self._is_closed = False
        self.connected = 0

    def request(self, method: str, path: str, *, headers: dict[str, str], body: bytes, timeout_s: float) -> Result:
        """Send a request, wait for the whole answer, `timeout_s` at most with everything."""
        started = time.monotonic()
        self._asking += 1
        try:
            if not self._places.acquire(timeout=timeout_s):
                return Unanswered(f"no free connection within {timeout_s:g} s", Processed.NO)
            try:
                result: Result | None = None
                with gevent.Timeout(max(0.001, timeout_s - (time.monotonic() - started)), False):
                    result = self._request(method, path, headers, body)
                return result or Unanswered(f"no answer within {timeout_s:g} s", Processed.MAYBE)
            finally:
                self._places.release()
        finally:
            self._asking -= 1

    @property
    def connections(self) -> int:
        """Open connections, in use or kept."""
        return len(self._idle) + min(self._most, self._asking)

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return max(0, self._asking - self._most)

    def prune(self) -> int:
        """Close what was idle for too long; answers how many connections are still kept."""
        oldest = time.monotonic() - IDLE_S
        while self._idle and self._idle[0].used_at <= oldest:
            self._idle.popleft().connection.close()
        return len(self._idle)

    def close(self) -> None:
        """Close what is idle, and from now on what is given back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().connection.close()

    def _request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Result:
        while True:
            try:
                kept = self._take()
            except OSError as error:
                return Unanswered(f"cannot connect to {self._name}: {self._describe(error)}", Processed.NO)
            try:
                reply = self._exchange(kept, method, path, headers, body)
            except (http.client.HTTPException, OSError) as error:
                kept.connection.close()
                if kept.is_fresh or not isinstance(error, (ConnectionError, http.client.BadStatusLine)):
                    return Unanswered(self._describe(error)[:200], Processed.MAYBE)
                # The server closed a connection that was kept alive before it saw this request: once more on another
                # one.
            except BaseException:
                kept.connection.close()  # out of time: what comes on it belongs to nobody
                raise
            else:
                return reply

    def _take(self) -> _Kept:
        now = time.monotonic()
        while self._idle:
            kept = self._idle.pop()
            if now - kept.used_at < IDLE_S:
                return kept
            kept.connection.close()
        connection = self._connected()
        connection.sock.settimeout(None)  # from here on the request's deadline counts
        self.connected += 1
        return _Kept(connection, now)

    def _connected(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self._is_tls:
            self._tls = self._tls or ssl.create_default_context(cafile=self._ca_file or None)
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._connect_timeout_s, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._connect_timeout_s)
        connection.response_class = _Answer
        try:
            if self._dial is None:
                connection.connect()
            else:
                connection.auto_open = 0  # it must never connect by itself, past the dialer
                connection.sock = self._dial(self._host, self._port, self._connect_timeout_s)
                if self._is_tls and self._tls is not None:
                    connection.sock = self._tls.wrap_socket(connection.sock, server_hostname=self._host)
        except BaseException:
            connection.close()
            raise
        return connection

    def _exchange(self, kept: _Kept, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        connection = kept.connection
        connection.request(method, path, body=body, headers=headers)
        with connection.getresponse() as response:
            content = response.read(BODY_LIMIT)
            # An answer that is cut off still counts, its status says what was decided; but its connection is of no use.
            is_whole = not response.length and not response.read(1)
            fields = {name.lower(): value for name, value in response.getheaders()}
            reply = Reply(response.status, fields, content)
            if not is_whole or response.will_close or self._is_closed:
                connection.close()
                return reply
        kept.used_at = time.monotonic()
        kept.is_fresh = False
        self._idle.append(kept)
        return reply
