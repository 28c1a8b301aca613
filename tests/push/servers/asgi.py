"""Apple and Google as an ASGI application for Hypercorn, an HTTP/2 server that shares nothing with our client.

Hypercorn splits bodies over DATA frames, sends empty ones, and closes a connection by GOAWAY after so many requests.
`python -m tests.push.servers.asgi PORT CERTIFICATE KEY REQUESTS-PER-CONNECTION PROTOCOLS`
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

GONE = "dead"

seen: list[str] = []


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """/3/device/TOKEN and /v1/…:send answer as Apple and Google do; /token gives a token; /seen says what came."""
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    status, answer = answered(scope["path"], headers, body)
    fields = [(b"apns-id", headers.get("apns-id", "").encode()), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    text = json.dumps(answer).encode() if answer is not None else b""
    for part in (text[:3], b"", text[3:]):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def answered(path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
    """Status and JSON."""
    if path == "/token":
        return 200, {"access_token": "an-access-token", "expires_in": 3600, "token_type": "Bearer"}
    if path == "/seen":
        return 200, seen
    if path.startswith("/3/device/"):
        assert "aps" in json.loads(body)
        if GONE in path:
            return 410, {"reason": "Unregistered", "timestamp": 1_700_000_000_000}
        seen.append(headers["apns-id"])
        return 200, None
    message = json.loads(body)["message"]
    assert "Bearer an-access-token" == headers["authorization"]
    if GONE in message["token"]:
        return 404, {
            "error": {
                "status": "NOT_FOUND",
                "details": [
                    {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}
                ],
            }
        }
    seen.append(message["data"]["push_id"])
    return 200, {"name": "projects/p/messages/1"}


def main() -> None:
    """Serve until the standard input ends."""
    port, certificate, key, per_connection, protocols = sys.argv[1:6]
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile = certificate, key
    config.keep_alive_max_requests = int(per_connection)
    config.alpn_protocols = protocols.split(",")
    config.keep_alive_timeout = 1.0  # so long it leaves a connection open after GOAWAY
    config.loglevel = "ERROR"

    async def run() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), ended.set)
        await serve(app, config, shutdown_trigger=ended.wait)  # type: ignore[arg-type]  # its types name every event; app sees dicts

    asyncio.run(run())


if __name__ == "__main__":
    main()
