"""Targets that read what push providers, their HTTP and an operator's file say."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from gateway import configuration
from gateway.settings import ConfigError, load, reference
from tests.fuzz.target import Feed, Target, plain
from workers.push.http1 import BODY_LIMIT, HttpPool
from workers.push.http2.exchange import Exchange
from workers.push.http2.frames import Kind, frame, settings
from workers.push.http2.protocol import BACKLOG_LIMIT, ClientProtocol, ConnectionBroken
from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone, in_words
from workers.push.providers.apns import answers as apns
from workers.push.providers.fcm import answers as fcm
from workers.push.providers.webpush import answers as webpush
from workers.push.providers.webpush.endpoint import Endpoint, EndpointError
from workers.push.reply import Processed, Reply, Unanswered

NOW: Final = 1_800_000_000.0
STATUSES: Final = (200, 201, 301, 400, 401, 403, 404, 408, 410, 413, 429, 500, 502, 503, 507, 199, 999)
PROVIDERS: Final = (apns, fcm, webpush)


def answers(data: bytes) -> None:
    """Provider, status, a Retry-After up to a newline, and a body."""
    if len(data) < 2:
        return
    wish, _, body = data[2:].partition(b"\n")
    headers = {"retry-after": wish.decode("latin-1")} if wish else {}
    reply = Reply(STATUSES[data[1] % len(STATUSES)], headers, body)
    for provider in (PROVIDERS[data[0] % len(PROVIDERS)],):
        _check(provider.react(reply, now=NOW).outcome)


def _check(outcome: Outcome) -> None:
    assert isinstance(outcome, Delivered | TokenGone | Later | Refused)
    assert in_words(outcome)
    if isinstance(outcome, Later) and outcome.after_s is not None:
        assert math.isfinite(outcome.after_s) and outcome.after_s >= 0, "a wait that does not end"
    if isinstance(outcome, Later | Refused | TokenGone):
        assert len(outcome.reason) <= 100, "whatever they say, as long as they like"


def http2(data: bytes) -> None:
    """What a provider sends on a connection with requests in flight. The first byte: how many, and how it is cut."""
    replayed: list[Exchange] = []
    protocol = ClientProtocol(most_streams=100, replay=replayed.append)
    asked = [
        Exchange(headers=[(b":method", b"POST", False), (b":path", b"/x", True)], body=b"b" * 70_000 * (at % 2))
        for at in range(3)
    ]
    piece = 1 + (data[0] if data else 0)
    protocol.to_send()
    with suppress(ConnectionBroken):
        for exchange in asked:
            if protocol.free_streams or exchange is asked[0]:
                protocol.start(exchange)
        for at in range(1, len(data), piece):
            protocol.receive(data[at : at + piece])
            assert len(protocol.to_send()) <= 2 * BACKLOG_LIMIT, "more to send than the backlog allows"
            for exchange in asked[1:]:
                if exchange.tries == 0 and protocol.free_streams:
                    protocol.start(exchange)
    protocol.abandon()
    for exchange in asked:
        result = exchange.result.value if exchange.is_settled else None
        assert result is None or isinstance(result, Reply | Unanswered)
        if isinstance(result, Reply):
            assert len(result.body) <= BODY_LIMIT + 16_384


class _Said:
    """A socket on which everything was said already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._data))  # type: ignore[arg-type]

    def sendall(self, _: bytes) -> None:
        return None

    def settimeout(self, _: object) -> None:
        return None

    def close(self) -> None:
        return None


def http1(data: bytes) -> None:
    """What a push service answers to a request."""
    said: Any = _Said(data)
    pool = HttpPool("http://service.example", dial=lambda *_: said)
    result = pool.request("POST", "/x", headers={}, body=b"b", timeout_s=5)
    pool.close()
    if isinstance(result, Reply):
        assert len(result.body) <= BODY_LIMIT
        for provider in PROVIDERS:
            _check(provider.react(result, now=NOW).outcome)
    else:
        assert result.processed in Processed and len(result.reason) <= 400


def endpoints(data: bytes) -> None:
    """The URL that a client gives as its push service."""
    for allow_private in (False, True):
        with suppress(EndpointError):
            endpoint = Endpoint.of(data.decode("utf-8", "replace"), allow_private=allow_private)
            assert 0 <= endpoint.port <= 65535 and endpoint.host and endpoint.target.startswith("/")
            assert allow_private or endpoint.port == 443 or endpoint.port >= 1024
            assert not set(endpoint.origin + endpoint.target) & set(" \r\n\t"), "a second line in a request"


@contextmanager
def _config() -> Iterator[Feed]:
    sections = configuration.sections()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "wakegate.toml"

        def feed(data: bytes) -> None:
            if b"file:" in data:  # what an operator names is read, and may be without end
                return
            file.write_bytes(data)
            with suppress(ConfigError):
                assert set(sections) == set(load(sections, files=[file], environ={}))

        yield feed


def _answer_seeds() -> list[bytes]:
    bodies = [
        b'{"reason":"Unregistered","timestamp":1700000000000}',
        b'{"error":{"code":404,"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError",'
        b'"errorCode":"UNREGISTERED"}]}}',
        b'{"error":{"status":"INVALID_ARGUMENT","details":[{"fieldViolations":[{"field":"message.token"}]}]}}',
        b'{"name":"projects/p/messages/1"}',
        b'{"reason":"BadJwtToken"}',
    ]
    wishes = [b"", b"120", b"Wed, 21 Oct 2099 07:28:00 GMT"]
    return [
        bytes([at % 3, status]) + wishes[(at + status) % 3] + b"\n" + body
        for at, body in enumerate(bodies) for status in range(len(STATUSES))
    ]  # fmt: skip


def _http2_seeds() -> list[bytes]:
    begin = settings({3: 100, 4: 1000})
    ok = frame(Kind.HEADERS, 1, b"\x88", 0x5)
    refused = frame(Kind.HEADERS, 1, b"\x8c", 0x4) + frame(Kind.DATA, 1, b'{"reason":"BadPath"}', 0x1)
    return [
        b"\xff" + begin + each
        for each in (
            ok,
            refused,
            frame(Kind.PING, 0, b"12345678"),
            frame(Kind.GOAWAY, 0, b"\0\0\0\1\0\0\0\0{}") + ok,
            frame(Kind.WINDOW_UPDATE, 0, b"\0\1\0\0") + frame(Kind.WINDOW_UPDATE, 3, b"\0\1\0\0"),
            frame(Kind.RST_STREAM, 1, b"\0\0\0\7"),
            frame(Kind.HEADERS, 1, b"\0\x80", 0) + frame(Kind.CONTINUATION, 1, b"\x88", 4),
            frame(Kind.SETTINGS, 0, b"", 1) + ok,
            frame(Kind.DATA, 1, b"\3abc\0\0\0", 0x9),
        )
    ]


def _http1_seeds() -> list[bytes]:
    return [
        b"HTTP/1.1 201 Created\r\nLocation: https://service.example/m/1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.0 410 Gone\r\n\r\n{}",
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    ]


def _config_seeds() -> list[bytes]:
    lines = [line for line in reference(configuration.sections()).splitlines() if line and not line.startswith("#")]
    return [
        "\n".join(lines).encode(),
        b'[server]\ndomains = ["a.example", "b"]\n[listen]\nc2s = ["[::1]:5222"]\n',
        b'[push.apps.a]\nprovider = "apns"\ntopic = "x"\nteam_id = "T"\nkey_id = "K"\nkey_file = "k"\n',
        b"[smacks]\nresend_on_timeout = 'if_offline'\nsmacks_hibernation_time = -1\n[limits.x]\n[log]\nlevel = 3\n",
    ]


TARGETS: Final = (
    Target(
        "answers",
        plain(answers),
        _answer_seeds,
        lambda: [b"1e999", b"null", b"[]", b'"reason":', b'"timestamp":', b"\\ud800"],
    ),
    Target("http2", plain(http2), _http2_seeds, lambda: [frame(kind, 1, b"\0\0\0\1", 4) for kind in Kind], 8192),
    Target(
        "http1",
        plain(http1),
        _http1_seeds,
        lambda: [b"Transfer-Encoding: chunked", b"Content-Length: ", b"\r\n", b"HTTP/1.1 1"],
    ),
    Target(
        "endpoints",
        plain(endpoints),
        lambda: [b"https://updates.push.services.mozilla.com/wpush/v2/x?y=z", b"https://[::1]:8443/"],
    ),
    Target(
        "config", _config, _config_seeds, lambda: [b"[[", b"[push.apps.", b" = ", b"nan", b"inf", b'"""', b"1979-05-27"]
    ),
)
