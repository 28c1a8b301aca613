"""The sandbox's own port, plain HTTP on loopback: what was received, and what is to go wrong (docs/sandbox.md)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from gateway.errors import WakegateError
from workers.sandbox.apns.credential import ProviderKey
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.faults import BadFault, Provider, read_fault
from workers.sandbox.forms import ClockForm, KeyForm, SeedForm
from workers.sandbox.http import HttpRequest, HttpResponse, json_response
from workers.sandbox.journal import Journal
from workers.sandbox.material import BadMaterial, read_es256_key
from workers.sandbox.metrics import CONTENT_TYPE, exposition
from workers.sandbox.providers import ProviderControl
from workers.sandbox.scenario import BadScenario, Director, read_scenario
from workers.sandbox.state import State
from workers.sandbox.webpush.control import control_subscriptions
from workers.sandbox.webpush.subscriptions import BadSubscription

WAIT_LIMIT_S = 60.0
PING_TIMEOUT_S = 5.0
ENTRIES_PER_ANSWER = 10_000


class BadRequest(WakegateError):
    """A request to the control port that makes no sense; the text says why."""

    metric = "sandbox_bad_control_request"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What the control port can do to the listeners."""

    addresses: Callable[[], Mapping[str, Any]]
    goaway: Callable[[Provider, str], int]
    ping: Callable[[float], list[float | None]]
    revoke: Callable[[], int]
    open_connections: Callable[[], int]
    behave: Callable[[Behaviour], None]
    reset: Callable[[], None]


class Control:
    """Answers the control port: all of it is State, but what `reach` does to the listeners."""

    def __init__(self, state: State, reach: Reach) -> None:
        self._state = state
        self._reach = reach
        self.director = Director(state.clock, self.handle)
        self._providers: dict[str, ProviderControl] = {
            "apns": ProviderControl("apns", state.faults, state.apns_devices, state.apns_storage),
            "fcm": ProviderControl("fcm", state.faults, state.fcm_devices, state.fcm_storage),
            "webpush": ProviderControl(
                "webpush",
                state.faults,
                state.webpush_devices,
                state.webpush_storage,
                full_token=state.webpush_subscriptions.endpoint,
            ),
        }

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request; what is wrong with it comes back as `{"error": ...}` with 400 or 404."""
        parts = [unquote(part) for part in request.path.split("/") if part]
        if request.method == "GET" and parts == ["metrics"]:
            return HttpResponse(200, exposition(self.stats()), CONTENT_TYPE)
        try:
            value = self._route(request, parts)
        except (BadRequest, BadFault, BadMaterial, BadScenario, BadSubscription, msgspec.MsgspecError) as error:
            return json_response({"error": str(error)}, 400)
        if value is None:
            return json_response({"error": f"no such thing: {request.method} {request.path}; see docs/sandbox.md"}, 404)
        return json_response(value)

    def _route(self, request: HttpRequest, parts: list[str]) -> Any:
        match request.method, parts:
            case "GET", []:
                return {"addresses": dict(self._reach.addresses()), "stats": self.stats()}
            case "GET", ["pushes"]:
                return _entries(self._state.record, "pushes", request.query)
            case "GET", ["deliveries"]:
                return _entries(self._state.deliveries, "deliveries", request.query)
            case "DELETE", ["pushes"]:
                self._state.connection_peak.clear()
                return {"forgotten": self._state.record.clear()}
            case "DELETE", ["deliveries"]:
                return {"forgotten": self._state.deliveries.forget()}
            case "GET", ["stats"]:
                return self.stats()
            case _, ["control", *rest]:
                return self._control(request, rest)
            case _:
                return None

    def stats(self) -> dict[str, Any]:
        """All counters since the start or the last DELETE /pushes."""
        defaults = {"apns_connections": 0, "apns_streams": 0, "apns_duplicates": 0, "fcm_duplicates": 0}
        counters = {**defaults, **self._state.record.counters}
        counters["apns_connections_open"] = self._reach.open_connections()
        counters["apns_connections_peak_per_minute"] = self._state.connection_peak.highest
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
            case "GET", ["clock"]:
                return self._time()
            case "POST", ["clock"]:
                return self._move(msgspec.json.decode(request.body, type=ClockForm))
            case "POST", ["seed"]:
                form = msgspec.json.decode(request.body, type=SeedForm)
                self._state.faults.seed(form.seed)
                return {"seed": form.seed}
            case "POST", ["reset"]:
                self._reach.reset()
                return {"reset": True}
            case _, ["scenario"]:
                return self._scenario(request)
            case _, [provider, *rest] if provider in self._providers:
                own = self._own(request, provider, rest)
                return self._providers[provider].handle(request, rest) if own is None else own
            case _:
                return None

    def _own(self, request: HttpRequest, provider: str, parts: list[str]) -> Any:
        """What one provider has and the others have not."""
        match request.method, provider, parts:
            case method, "webpush", ["subscriptions", *rest]:
                return control_subscriptions(self._state, method, rest, request.body)
            case "POST", "apns" | "fcm", ["goaway"]:
                which: Provider = "apns" if provider == "apns" else "fcm"
                return {"connections": self._reach.goaway(which, request.query.get("reason", "Shutdown"))}
            case "POST", "apns", ["ping"]:
                return self._ping()
            case "POST", "apns", ["keys"]:
                return self._register_key(request.body)
            case "DELETE", "apns", ["keys", key_id]:
                return {"revoked": self._state.keys.revoke(key_id)}
            case "POST", "fcm", ["token-endpoint"]:
                self._state.faults.arm("oauth", read_fault(request.body))
                return {"faults": self._state.faults.listing()}
            case "DELETE", "fcm", ["token-endpoint"]:
                return {"disarmed": self._state.faults.disarm("oauth")}
            case "DELETE", "fcm", ["access-tokens"]:
                return {"revoked": self._reach.revoke()}
            case "POST", "fcm", ["maintenance"]:
                return {"devices": self._state.fcm_storage.maintain()}
            case "POST", "fcm", ["devices", token, "maintenance"]:
                self._state.fcm_storage.flush(token, maintenance=True)
                return {"devices": 1}
            case _:
                return None

    def _move(self, form: ClockForm) -> dict[str, Any]:
        clock = self._state.clock
        if form.stopped is not None:
            (clock.stop if form.stopped else clock.go_on)()
        clock.advance(form.advance_s)
        return self._time()

    def _time(self) -> dict[str, Any]:
        clock = self._state.clock
        return {"now": clock.now(), "ahead_s": clock.ahead_s, "stopped": clock.is_stopped}

    def _ping(self) -> dict[str, Any]:
        answers = self._reach.ping(PING_TIMEOUT_S)
        taken = [seconds for seconds in answers if seconds is not None]
        return {"connections": len(answers), "answered": len(taken), "slowest_s": max(taken, default=None)}

    def _scenario(self, request: HttpRequest) -> Any:
        match request.method:
            case "POST":
                self.director.play(read_scenario(request.body))
            case "DELETE":
                self.director.stop()
            case "GET":
                self.director.join(min(_number(request.query, "wait"), WAIT_LIMIT_S))
            case _:
                return None
        return self.director.status()

    def _change_settings(self, body: bytes) -> Any:
        changes = msgspec.json.decode(body or b"{}", type=dict[str, Any])
        merged = {**msgspec.to_builtins(self._state.behaviour), **changes}
        self._reach.behave(msgspec.convert(merged, Behaviour))
        return msgspec.to_builtins(self._state.behaviour)

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


def _entries(journal: Journal[Any], name: str, query: Mapping[str, str]) -> dict[str, Any]:
    """A page of a journal: what is newer than `since` and fits the filters, waiting for it if asked to."""
    since, limit = _whole(query, "since", 0), _whole(query, "limit", ENTRIES_PER_ANSWER)
    filters = ("token", "provider") + (("environment", "push_id") if name == "pushes" else ("event", "push_id"))
    wanted: dict[str, Any] = {key: query[key] for key in filters if key in query}
    if "status" in query and name == "pushes":
        wanted["status"] = _whole(query, "status", 0)
    wait_s = min(_number(query, "wait"), WAIT_LIMIT_S)
    found = journal.wait(since, timeout_s=wait_s, **wanted) if wait_s > 0 else journal.since(since, **wanted)
    return {"last_seq": journal.last_seq, name: [entry.as_json() for entry in found[:limit]]}


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
