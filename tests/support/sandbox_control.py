"""The control port of a push sandbox that runs as a process of its own, for tests and simulated phones."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.processes import Server

TIMEOUT_S = 30.0


class SandboxControl:
    """Requests as docs/sandbox.md describes them. Each takes a connection of its own."""

    def __init__(self, address: str) -> None:
        self.address = address

    @classmethod
    def of(cls, server: Server) -> SandboxControl:
        """The sandbox of `wakegate up --demo`."""
        file = Path(server.directory, "data", "sandbox", "addresses.json")
        return cls(json.loads(file.read_text())["control"])

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        """The answer's JSON; an AssertionError for any status but 200."""
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, None if value is None else json.dumps(value))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        assert 200 == response.status, body.decode(errors="replace")
        return json.loads(body)

    def device(self, provider: str, token: str, **state: Any) -> None:
        """Change what the sandbox knows of a device: online, dozing, state, environment, topics."""
        self.ask("POST", f"/control/{provider}/devices/{quote(token, safe='')}", state)

    def deliveries(self, since: int = 0, *, wait_s: float = 0.0, **filters: str) -> list[dict[str, Any]]:
        """What reached devices (`token=...`, `event="delivered"`), waiting for the first if asked to."""
        query = urlencode({"since": since, "wait": wait_s, **filters})
        found: list[dict[str, Any]] = self.ask("GET", f"/deliveries?{query}")["deliveries"]
        return found

    def pushes(self, since: int = 0, **filters: str) -> list[dict[str, Any]]:
        """Every request for a push, accepted or not."""
        found: list[dict[str, Any]] = self.ask("GET", f"/pushes?{urlencode({'since': since, **filters})}")["pushes"]
        return found

    def stats(self) -> dict[str, int]:
        """The counters."""
        found: dict[str, int] = self.ask("GET", "/stats")
        return found
