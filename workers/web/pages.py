"""The pages: what is answered to which path. Reads only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import WakegateError
from gateway.mailbox.errors import StoreError
from gateway.telemetry import get_logger
from workers.web import metrics
from workers.web.dashboard import Dashboard
from workers.web.hosts import Hosts
from workers.web.snapshots import Snapshots

log = get_logger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], Any]

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

SAFE: Final = (
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
"""what every answer tells a browser"""

NOTHING_LOADED: Final = "default-src 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of everything but the dashboard"""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. `status` is code and phrase."""

    status: str
    type: str
    body: bytes
    policy: str = NOTHING_LOADED
    headers: tuple[tuple[str, str], ...] = ()


MISDIRECTED: Final = Answer(
    "421 Misdirected Request",
    TEXT,
    b"this server has no such name; if it should have it: listen.web_hosts in the configuration\n",
)
"""RFC 9110 section 15.5.20"""


class Pages:
    """The WSGI application (PEP 3333)."""

    def __init__(self, snapshots: Snapshots, dashboard: Dashboard, hosts: Hosts) -> None:
        self._snapshots = snapshots
        self._hosts = hosts
        self._dashboard = dashboard
        self._pages: dict[str, Callable[[], Answer]] = {
            "/": self._front,
            "/healthz": self._health,
            "/metrics": self._metrics,
            "/api/status": self._status,
        }

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        method, host = environ["REQUEST_METHOD"], environ.get("HTTP_HOST", "")
        answer = self._answer(method, environ.get("PATH_INFO", "/")) if self._hosts.has(host) else MISDIRECTED
        headers = [("Content-Type", answer.type), ("Content-Length", str(len(answer.body)))]
        start_response(answer.status, [*headers, ("Content-Security-Policy", answer.policy), *SAFE, *answer.headers])
        return [] if method == "HEAD" else [answer.body]

    def _answer(self, method: str, path: str) -> Answer:
        page = self._pages.get(path)
        if page is None:
            return Answer("404 Not Found", TEXT, b"there is no such page\n")
        if method not in ("GET", "HEAD"):
            refusal = b"this page can only be read\n"
            return Answer("405 Method Not Allowed", TEXT, refusal, headers=(("Allow", "GET, HEAD"),))
        try:
            return page()
        except StoreError as error:
            return _unavailable(path, error)
        except Exception:  # the top of a request
            log.exception("page_failed", path=path)
            return Answer("500 Internal Server Error", TEXT, b"this page failed; the log says why\n")

    def _front(self) -> Answer:
        return Answer("200 OK", "text/html; charset=utf-8", self._dashboard.html, self._dashboard.policy)

    def _health(self) -> Answer:
        self._snapshots.ping()
        return Answer("200 OK", TEXT, b"ok\n")

    def _metrics(self) -> Answer:
        return Answer("200 OK", metrics.CONTENT_TYPE, metrics.render(self._snapshots.newest()))

    def _status(self) -> Answer:
        return _json("200 OK", self._snapshots.newest().to_json())


def _unavailable(path: str, error: WakegateError) -> Answer:
    status = "503 Service Unavailable"
    if path == "/api/status":
        return _json(status, {"error": str(error)})
    return Answer(status, TEXT, f"{error}\n".encode())


def _json(status: str, value: dict[str, Any]) -> Answer:
    return Answer(status, JSON, json.dumps(value, ensure_ascii=False).encode() + b"\n")
