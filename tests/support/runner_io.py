"""How a runner (a client library in a process of its own) talks with the test: one JSON object a line, commands in,
events out.

Commands: {"do": "login" | "send" | "drop" | "quit", ...}. Events: {"event": "online" | "resumed" | "message" |
"accepted" | "lost" | "failed" | "accepts", ...}. Only the standard library, and no gevent: the libraries are asyncio.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Login:
    """What "login" carries. `cafile` is the certificate to trust, and it is verified."""

    jid: str
    password: str
    host: str
    port: int
    tls: Literal["starttls", "direct"]
    cafile: str


def tell(event: str, **fields: Any) -> None:
    """Writes one event."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


async def commands() -> AsyncIterator[dict[str, Any]]:
    """The test's commands until it closes the pipe: then the runner ends, whatever became of the test."""
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)
