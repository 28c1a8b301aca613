"""An HTTP/2 client of FCM that sends exactly what a test wants: over TLS, or in the clear by prior knowledge."""

import json
import socket
import ssl
from typing import Any

from h2.config import H2Configuration

from tests.sandbox.clients import TIMEOUT_S, ApnsClient, PatientH2, Reply
from workers.sandbox.material import PROJECT_ID
from workers.sandbox.server import Sandbox

PATH = f"/v1/projects/{PROJECT_ID}/messages:send"


class FcmClient(ApnsClient):
    """One HTTP/2 connection to FCM."""

    def __init__(self, sandbox: Sandbox, token: str, *, tls: bool = False) -> None:
        host, port = sandbox.addresses["fcm"].rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        sock = plain
        if tls:
            context = ssl.create_default_context(cafile=str(sandbox.material.ca_file))
            context.set_alpn_protocols(["h2"])
            sock = context.wrap_socket(plain, server_hostname="localhost")
        self.sock = sock  # type: ignore[assignment]  # the tests need nothing of TLS but what every socket has
        self.h2 = PatientH2(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.replies = {}
        self.goaways = []
        self.settings = []
        self.pongs = []
        self.received = bytearray()
        self.is_closed = False
        self.path = PATH
        self.headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self.h2.initiate_connection()
        self.flush()

    def begin(self, message: dict[str, Any]) -> int:
        """Send a message without waiting; returns its stream."""
        return self.start(self.headers, json.dumps({"message": message}).encode(), path=PATH)

    def send(self, device: str, **rest: Any) -> Reply:
        """Send a message to a device and wait for the answer."""
        return self.reply(self.begin({"token": device, **rest}))
