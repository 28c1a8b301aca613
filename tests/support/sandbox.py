"""`wakegate up --demo` with every port of the push sandbox its own, and a look at what the sandbox received."""

import http.client
import json
from pathlib import Path
from typing import Any

from tests.support.processes import Server

WITH_SANDBOX = (
    "up",
    "--demo",
    *(
        part
        for name in ("apns", "apns-development", "fcm", "control", "webpush")
        for part in ("--sandbox-option", f"{name}=127.0.0.1:0")
    ),
)
"""What to start a Server with."""


def pushes(server: Server) -> list[dict[str, Any]]:
    """Everything the sandbox received, oldest first."""
    addresses = json.loads(Path(server.directory, "data", "sandbox", "addresses.json").read_text())
    connection = http.client.HTTPConnection(addresses["control"], timeout=10)
    try:
        connection.request("GET", "/pushes")
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    found: list[dict[str, Any]] = answer["pushes"] if isinstance(answer, dict) else answer
    return found


def accepted_pushes(server: Server, token: str) -> list[dict[str, Any]]:
    """Those for one device that the sandbox accepted."""
    return [push for push in pushes(server) if push["token"] == token and push["status"] == 200]
