"""Bare clients: they send exactly what a test wants, also what no library would send."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import jwt
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame

from workers.sandbox.material import CLIENT_EMAIL, KEY_ID, PROJECT_ID, TEAM_ID, TOPIC
from workers.sandbox.server import Sandbox

TIMEOUT_S = 20.0
DEVICE = "a1" * 32
PAYLOAD = json.dumps({"aps": {"alert": "hello"}}).encode()


def provider_token(
    sandbox: Sandbox,
    *,
    key: Any = None,
    key_id: str = KEY_ID,
    team_id: str = TEAM_ID,
    age_s: float = 0.0,
    algorithm: str = "ES256",
) -> str:
    signer = key or sandbox.material.apns_key_file.read_text()
    claims = {"iss": team_id, "iat": int(time.time() - age_s)}
    return jwt.encode(claims, signer, algorithm=algorithm, headers={"kid": key_id})


def headers_for(token: str, **changes: str | None) -> dict[str, str]:
    """The headers of a right request, changed: `apns_priority="5"` sets one, None leaves one out."""
    headers: dict[str, str | None] = {
        "authorization": f"bearer {token}",
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}


@dataclass
class Reply:
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    data_frames: list[bytes] = field(default_factory=list)
    is_complete: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers.get(":status", "0"))

    @property
    def reason(self) -> str:
        return str(json.loads(self.body).get("reason", "")) if self.body else ""


class PatientH2(H2Connection):
    """h2 takes a GOAWAY for the end; answers to earlier streams may still come (RFC 9113 section 6.8)."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        event.additional_data = frame.additional_data
        return [], [event]


class ApnsClient:
    """One HTTP/2 connection. Replies are collected by stream id; `goaways` and `settings` in the order they came."""

    def __init__(self, sandbox: Sandbox, endpoint: str = "apns", *, with_certificate: bool = False) -> None:
        host, port = sandbox.addresses[endpoint].rsplit(":", 1)
        context = ssl.create_default_context(cafile=str(sandbox.material.ca_file))
        context.set_alpn_protocols(["h2"])
        if with_certificate:
            context.load_cert_chain(sandbox.material.client_file)
        plain = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self.sock = context.wrap_socket(plain, server_hostname="localhost")
        self.h2 = PatientH2(H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False))
        self.replies: dict[int, Reply] = {}
        self.goaways: list[ConnectionTerminated] = []
        self.settings: list[int] = []
        self.pongs: list[bytes] = []
        self.received = bytearray()
        self.is_closed = False
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def start(
        self,
        headers: dict[str, str] | list[tuple[str, str]],
        body: bytes = PAYLOAD,
        *,
        device: str = DEVICE,
        path: str | None = None,
        method: str = "POST",
    ) -> int:
        """Send a request without waiting; returns its stream."""
        stream = self.h2.get_next_available_stream_id()
        fields = [
            (":method", method),
            (":scheme", "https"),
            (":path", path or f"/3/device/{device}"),
            (":authority", "x"),
        ]
        fields += list(headers.items()) if isinstance(headers, dict) else headers
        self.h2.send_headers(stream, fields, end_stream=not body)
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
            if not room:
                self.flush()
                self.read()
                continue
            self.h2.send_data(stream, body[:room], end_stream=room == len(body))
            body = body[room:]
        self.flush()
        self.replies[stream] = Reply()
        return stream

    def push(self, headers: dict[str, str] | list[tuple[str, str]], body: bytes = PAYLOAD, **rest: Any) -> Reply:
        stream = self.start(headers, body, **rest)
        return self.reply(stream)

    def reply(self, stream: int) -> Reply:
        reply = self.replies[stream]
        self.read_until(lambda: reply.is_complete or reply.reset is not None)
        return reply

    def read_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert not self.is_closed, "the sandbox closed the connection"
            self.read()

    def read_to_end(self) -> None:
        while not self.is_closed:
            self.read()

    def read(self) -> None:
        try:
            data = self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        self.is_closed = not data
        self.received += data
        for event in self.h2.receive_data(data) if data else ():
            self._take(event)
        if not self.is_closed and not self.goaways:
            try:
                self.flush()
            except OSError:
                self.is_closed = True

    def frame_types(self) -> list[int]:
        """The types of all frames received, in order (RFC 9113 section 4.1)."""
        types, place = [], 0
        while place < len(self.received):
            types.append(self.received[place + 3])
            place += 9 + int.from_bytes(self.received[place : place + 3], "big")
        return types

    def _take(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged):
            changed = event.changed_settings.get(SettingCodes.MAX_CONCURRENT_STREAMS)
            if changed is not None:
                self.settings.append(changed.new_value)
        elif isinstance(event, PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, ConnectionTerminated):
            self.goaways.append(event)
        elif isinstance(event, ResponseReceived):
            self.replies[event.stream_id].headers = dict(event.headers or ())  # type: ignore[arg-type]
        elif isinstance(event, DataReceived):
            self.replies[event.stream_id].data_frames.append(event.data or b"")
            self.replies[event.stream_id].body += event.data or b""
        elif isinstance(event, StreamEnded):
            self.replies[event.stream_id].is_complete = True
        elif isinstance(event, StreamReset):
            self.replies[event.stream_id].reset = int(event.error_code or 0)


@dataclass(frozen=True)
class HttpReply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fcm_codes(self) -> list[str]:
        details = self.json()["error"].get("details", [])
        return [detail["errorCode"] for detail in details if detail["@type"].endswith("FcmError")]

    @property
    def violated_fields(self) -> list[str]:
        details = self.json()["error"].get("details", [])
        return [v["field"] for detail in details for v in detail.get("fieldViolations", [])]


def http_request(
    sandbox: Sandbox, listener: str, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> HttpReply:
    host, port = sandbox.addresses[listener].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return HttpReply(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def control(sandbox: Sandbox, method: str, path: str, value: Any = None) -> HttpReply:
    return http_request(sandbox, "control", method, path, b"" if value is None else json.dumps(value).encode())


def assertion(sandbox: Sandbox, *, key: str = "", kid: str | None = None, **changes: Any) -> str:
    """A service account's assertion, right but for `changes` in its claims (None leaves a claim out)."""
    account = sandbox.material.service_account()
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": CLIENT_EMAIL,
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": sandbox.addresses["token_uri"],
        "iat": now,
        "exp": now + 3600,
    }
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    headers = {"kid": kid or account["private_key_id"]}
    return jwt.encode(claims, key or account["private_key"], algorithm="RS256", headers=headers)


def ask_for_access_token(sandbox: Sandbox, signed: str, grant_type: str | None = None) -> HttpReply:
    form = {"grant_type": grant_type or "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return http_request(sandbox, "fcm", "POST", "/token", urlencode(form).encode(), headers)


def access_token(sandbox: Sandbox) -> str:
    return str(ask_for_access_token(sandbox, assertion(sandbox)).json()["access_token"])


def send_to_fcm(
    sandbox: Sandbox, request: Any, *, token: str | None = None, project: str = PROJECT_ID, raw: bytes = b""
) -> HttpReply:
    bearer = access_token(sandbox) if token is None else token
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    body = raw or json.dumps(request).encode()
    return http_request(sandbox, "fcm", "POST", f"/v1/projects/{project}/messages:send", body, headers)
