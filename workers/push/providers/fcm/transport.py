"""How messages get to FCM: over HTTP/2 if the server offers it, as Google does, else over HTTP/1.1."""

from __future__ import annotations

import time
from typing import Final

from workers.push.http1 import HttpPool
from workers.push.http2.exchange import Headers
from workers.push.http2.origin import HTTP1, HTTP2, Origin
from workers.push.http2.pool import Pool, PoolRules
from workers.push.reply import Processed, Result, Unanswered

CONTENT_TYPE: Final = "application/json; charset=UTF-8"

AGAIN_S: Final = 3600.0
"""A server that chose HTTP/1.1 is offered HTTP/2 again after this long."""


class Transport:
    """Connections to one address, for many greenlets."""

    def __init__(self, endpoint: str, *, ca_file: str, path: str, rules: PoolRules, http1_connections: int) -> None:
        """`path` is what is posted to. Raises ValueError for an endpoint that is not http(s)://host[:port]."""
        self._http1 = HttpPool(
            endpoint, ca_file=ca_file, connections=http1_connections, connect_timeout_s=rules.connect_timeout_s
        )
        self._path = path
        self._rules = rules
        self._origin: Origin | None = None
        self._http2: Pool | None = None
        if endpoint.startswith("https://"):
            self._origin = Origin.of(endpoint, ca_file=ca_file, alpn=(HTTP2, HTTP1))
            self._http2 = Pool(self._origin, rules=rules)
        self._http1_since = 0.0
        self._headers: tuple[str, Headers] = ("", [])

    @property
    def connections(self) -> int:
        """Connections that are open over HTTP/2; over HTTP/1.1, those that were opened so far."""
        return self._http2.connections if self._http2 is not None else self._http1.connected

    @property
    def waiting(self) -> int:
        """Requests that wait for a stream."""
        return self._http2.waiting if self._http2 is not None else 0

    def post(self, body: bytes, *, bearer: str, timeout_s: float) -> Result:
        """Send one message, wait for the whole answer, `timeout_s` at most with everything."""
        deadline = time.monotonic() + timeout_s
        pool = self._pool()
        if pool is not None:
            result = pool.request(self._fields(pool.origin, bearer), body, timeout_s=timeout_s)
            is_unsent = isinstance(result, Unanswered) and result.processed is Processed.NO
            if not (is_unsent and pool.lacks_http2):
                return result
            self._http2, self._http1_since = None, time.monotonic()
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": CONTENT_TYPE}
        timeout_s = max(0.001, deadline - time.monotonic())
        return self._http1.request("POST", self._path, headers=headers, body=body, timeout_s=timeout_s)

    def retire(self) -> None:
        """Finish what is under way, keep no connection beyond it."""
        if self._http2 is not None:
            self._http2.recycle()
        self._http1.close()  # of idle ones; the others end when they have their answer

    def close(self) -> None:
        """Close the connections."""
        if self._http2 is not None:
            self._http2.close()
        self._http1.close()

    def _pool(self) -> Pool | None:
        if self._http2 is None and self._origin is not None and time.monotonic() - self._http1_since >= AGAIN_S:
            self._http2 = Pool(self._origin, rules=self._rules)
        return self._http2

    def _fields(self, origin: Origin, bearer: str) -> Headers:
        """The same for all messages, for as long as the access token lives."""
        known, fields = self._headers
        if known != bearer:
            fields = [
                (b":method", b"POST", False),
                (b":scheme", b"https", False),
                (b":authority", origin.authority, False),
                (b":path", self._path.encode("ascii", "replace"), False),
                (b"authorization", b"Bearer " + bearer.encode("ascii", "replace"), False),
                (b"content-type", CONTENT_TYPE.encode(), False),
            ]
            self._headers = (bearer, fields)
        return fields
