"""The sandbox's own port, plain HTTP on loopback: what was received, and what is to go wrong (docs/sandbox.md)."""

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from gateway.errors import WakegateError
from workers.sandbox.apns.credential import ProviderKey
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.devices import Devices
from workers.sandbox.devices import State as DeviceState
from workers.sandbox.faults import BadFault, Provider, read_fault
from workers.sandbox.http import HttpRequest, HttpResponse, json_response
from workers.sandbox.material import BadMaterial, read_es256_key
from workers.sandbox.state import State

WAIT_LIMIT_S = 60.0
PUSHES_PER_ANSWER = 10_000

Environment = Literal["", "production", "sandbox"]


class BadRequest(WakegateError):
    """A request to the control port that makes no sense; the text says why."""

    metric = "sandbox_bad_control_request"


class DeviceForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /control/{provider}/devices/{token}."""

    environment: Environment = ""
    topics: list[str] = []
    state: DeviceState = "registered"


class KeyForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /control/apns/keys."""

    team_id: str
    key_id: str
    pem: str
    environment: Environment = ""
    topics: list[str] = []


class Control:
    """Answers the control port. `goaway` and `revoke` reach into the listeners; the rest is State."""

    def __init__(
        self,
        state: State,
        *,
        addresses: Callable[[], Mapping[str, Any]],
        goaway: Callable[[Provider, str], int],
        revoke: Callable[[], int],
        open_connections: Callable[[], int],
    ) -> None:
        self._state = state
        self._addresses = addresses
        self._goaway = goaway
        self._revoke = revoke
        self._open_connections = open_connections

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request; what is wrong with it comes back as `{"error": ...}` with 400 or 404."""
        parts = [unquote(part) for part in request.path.split("/") if part]
        try:
            value = self._route(request, parts)
        except (BadRequest, BadFault, BadMaterial, msgspec.MsgspecError) as error:
            return json_response({"error": str(error)}, 400)
        if value is None:
            return json_response({"error": f"no such thing: {request.method} {request.path}; see docs/sandbox.md"}, 404)
        return json_response(value)

    def _route(self, request: HttpRequest, parts: list[str]) -> Any:
        match request.method, parts:
            case "GET", []:
                return {"addresses": dict(self._addresses()), "stats": self.stats()}
            case "GET", ["pushes"]:
                return self._pushes(request.query)
            case "DELETE", ["pushes"]:
                return {"forgotten": self._state.record.clear()}
            case "GET", ["stats"]:
                return self.stats()
            case _, ["control", *rest]:
                return self._control(request, rest)
            case _:
                return None

    def _pushes(self, query: Mapping[str, str]) -> dict[str, Any]:
        since, limit = _whole(query, "since", 0), _whole(query, "limit", PUSHES_PER_ANSWER)
        wanted: dict[str, Any] = {name: query[name] for name in ("token", "provider", "environment") if name in query}
        if "status" in query:
            wanted["status"] = _whole(query, "status", 0)
        wait_s = min(_number(query, "wait"), WAIT_LIMIT_S)
        record = self._state.record
        found = record.wait(since, timeout_s=wait_s, **wanted) if wait_s > 0 else record.since(since, **wanted)
        return {"last_seq": record.last_seq, "pushes": [push.as_json() for push in found[:limit]]}

    def stats(self) -> dict[str, Any]:
        """All counters since the start or the last DELETE /pushes."""
        defaults = {"apns_connections": 0, "apns_streams": 0, "apns_duplicates": 0, "fcm_duplicates": 0}
        counters = {**defaults, **self._state.record.counters}
        counters["apns_connections_open"] = self._open_connections()
        counters["apns_provider_tokens"] = self._state.keys.tokens_seen
        return dict(sorted(counters.items()))

    def _control(self, request: HttpRequest, parts: list[str]) -> Any:
        match request.method, parts:
            case "GET", ["settings"]:
                return msgspec.to_builtins(self._state.behaviour)
            case "POST", ["settings"]:
                return self._change_settings(request.body)
            case "GET", ["faults"]:
                return {"faults": self._state.faults.listing()}
            case "DELETE", ["faults"]:
                return {"disarmed": self._state.faults.disarm()}
            case "POST", ["clock"]:
                return self._advance(request.body)
            case "POST", ["apns" | "fcm" as provider, "goaway"]:
                return {"connections": self._goaway(provider, request.query.get("reason", "Shutdown"))}
            case "POST", ["apns", "keys"]:
                return self._register_key(request.body)
            case "DELETE", ["apns", "keys", key_id]:
                return {"revoked": self._state.keys.revoke(key_id)}
            case "DELETE", ["fcm", "access-tokens"]:
                return {"revoked": self._revoke()}
            case _, ["apns", *rest]:
                return self._provider(request, "apns", self._state.apns_devices, rest)
            case _, ["fcm", *rest]:
                return self._provider(request, "fcm", self._state.fcm_devices, rest)
            case _:
                return None

    def _provider(self, request: HttpRequest, provider: Provider, devices: Devices, parts: list[str]) -> Any:
        faults = self._state.faults
        match request.method, parts:
            case "POST", ["faults"]:
                faults.arm(provider, read_fault(request.body))
            case "POST", ["tokens", token]:
                faults.arm(provider, read_fault(request.body), token)
            case "DELETE", ["faults"]:
                return {"disarmed": faults.disarm(provider)}
            case "DELETE", ["tokens", token]:
                return {"disarmed": faults.disarm(provider, token)}
            case "GET", ["devices"]:
                return {"devices": devices.listing()}
            case "POST", ["devices", token]:
                _change_device(devices, token, request.body)
                return {"devices": devices.listing()}
            case "DELETE", ["devices"]:
                devices.forget()
                return {"devices": []}
            case "DELETE", ["devices", token]:
                devices.unregister(token)
                return {"devices": devices.listing()}
            case _:
                return None
        return {"faults": faults.listing()}

    def _change_settings(self, body: bytes) -> Any:
        changes = msgspec.json.decode(body or b"{}", type=dict[str, Any])
        merged = {**msgspec.to_builtins(self._state.behaviour), **changes}
        self._state.behaviour = msgspec.convert(merged, Behaviour)
        return msgspec.to_builtins(self._state.behaviour)

    def _advance(self, body: bytes) -> dict[str, float]:
        form = msgspec.json.decode(body, type=dict[str, float])
        if set(form) != {"advance_s"}:
            raise BadRequest('the body is {"advance_s": seconds}')
        self._state.clock.advance(form["advance_s"])
        return {"now": self._state.clock.now()}

    def _register_key(self, body: bytes) -> dict[str, str]:
        form = msgspec.json.decode(body, type=KeyForm)
        key = ProviderKey(
            team_id=form.team_id,
            key_id=form.key_id,
            key=read_es256_key(form.pem.encode()),
            environment=form.environment,
            topics=frozenset(form.topics),
        )
        self._state.keys.register(key)
        return {"registered": form.key_id}


def _change_device(devices: Devices, token: str, body: bytes) -> None:
    form = msgspec.json.decode(body or b"{}", type=DeviceForm)
    if form.state == "registered":
        devices.register(token, environment=form.environment, topics=frozenset(form.topics))
    else:
        devices.unregister(token, form.state)


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise BadRequest(f"{name} is a whole number, got {text[:50]!r}")
    return int(text)


def _number(query: Mapping[str, str], name: str) -> float:
    try:
        number = float(query.get(name, "0"))
    except ValueError as error:
        raise BadRequest(f"{name} is a number of seconds") from error
    if not 0 <= number < 1e6:
        raise BadRequest(f"{name} is a number of seconds")
    return number
