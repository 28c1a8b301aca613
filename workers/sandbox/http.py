"""Requests and responses as values, for handlers that need not know which HTTP they came by."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

BODY_LIMIT = 1_000_000
NEVER_S = 600.0
SLOW_PIECES = 20

Ending = Literal["whole", "truncated", "close", "reset", "goaway", "ignore"]


@dataclass(frozen=True)
class HttpRequest:
    """One request. Header names are lower case; the path is without its query and still percent-encoded.

    `stream` is 0 with HTTP/1.1.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    connection: int
    stream: int = 0


@dataclass(frozen=True)
class HttpResponse:
    """One response. `ending` other than "whole": a "truncated" body, "close" before a word, "ignore" for ever.

    "reset" (RST_STREAM with `error_code`) and "goaway" (with `reason`) are for HTTP/2; HTTP/1.1 closes. The body takes
    `slow_s` seconds.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    headers: tuple[tuple[str, str], ...] = field(default=())
    ending: Ending = "whole"
    error_code: int = 7
    reason: str = ""
    slow_s: float = 0.0


HttpHandler = Callable[[HttpRequest], HttpResponse]


def json_response(value: Any, status: int = 200) -> HttpResponse:
    """A response with `value` as JSON."""
    return HttpResponse(status, json.dumps(value, indent=2).encode() + b"\n")


def phrase(status: int) -> str:
    """The reason phrase of an HTTP status (RFC 9110 section 15)."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def pieces(body: bytes, slow_s: float) -> list[tuple[bytes, float]]:
    """The parts of a body, each with the seconds to wait before it; one part unless it is to be slow."""
    if not body:
        return []
    if slow_s <= 0:
        return [(body, 0.0)]
    size = -(-len(body) // SLOW_PIECES)
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return [(part, slow_s / len(parts)) for part in parts]
