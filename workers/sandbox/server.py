"""The sandbox put together: two APNs listeners, FCM with its token endpoint, and the control port."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.telemetry import get_logger
from workers.sandbox.apns.credential import ProviderKey
from workers.sandbox.apns.listener import ApnsListener
from workers.sandbox.apns.service import ApnsService
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.clock import Clock
from workers.sandbox.control import Control, Reach
from workers.sandbox.deliveries import Deliveries
from workers.sandbox.devices import Devices
from workers.sandbox.faults import Fault, Faults, Provider
from workers.sandbox.fcm.oauth import TokenEndpoint
from workers.sandbox.fcm.service import TOKEN_PATH, FcmService
from workers.sandbox.listener import HttpListener
from workers.sandbox.material import KEY_ID, TEAM_ID, Material, prepare, read_rs256_key, write_json
from workers.sandbox.record import Record
from workers.sandbox.scenario import Director
from workers.sandbox.state import State
from workers.sandbox.webpush.service import WebPushService
from workers.sandbox.webpush.subscriptions import Subscription

log = get_logger(__name__)

Address = tuple[str, int]

GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where to listen; port 0 lets the system choose one. Only loopback makes sense: the keys lie in the open."""

    apns: Address = ("127.0.0.1", 2197)
    apns_development: Address = ("127.0.0.1", 2198)
    fcm: Address = ("127.0.0.1", 2199)
    control: Address = ("127.0.0.1", 2200)
    webpush: Address = ("127.0.0.1", 2201)

    @classmethod
    def free(cls, host: str = "127.0.0.1") -> Self:
        """Ports that the system chooses: what tests want."""
        return cls(apns=(host, 0), apns_development=(host, 0), fcm=(host, 0), control=(host, 0), webpush=(host, 0))


class Sandbox:
    """APNs and FCM on this machine. A context manager; `start` and `stop` do the same by hand.

    `record` is what was received; `faults`, `apns_devices`, `fcm_devices`, `clock` and `behaviour` are what the control
    port changes. All of it may be used from any greenlet of the hub that the sandbox runs in.
    """

    def __init__(self, data_dir: Path, addresses: Addresses | None = None, *, second_host: str = "") -> None:
        """With `second_host`, APNs is at the same ports of that address, too: one name may have two addresses."""
        self._wanted = addresses or Addresses()
        self._state = State()
        self.material: Material = prepare(data_dir)
        self._state.keys.register(ProviderKey(team_id=TEAM_ID, key_id=KEY_ID, key=self.material.apns_public_key()))
        account = self.material.service_account()
        self._tokens = TokenEndpoint(
            self._state,
            client_email=str(account.get("client_email")),
            key_id=str(account.get("private_key_id")),
            key=read_rs256_key(str(account.get("private_key"))),
        )
        self._apns = {
            name: ApnsListener(ApnsService(self._state, environment), self.material, address, second_host)
            for name, environment, address in (
                ("apns", "production", self._wanted.apns),
                ("apns_development", "sandbox", self._wanted.apns_development),
            )
        }
        fcm = FcmService(self._state, self._tokens, str(account.get("project_id")))
        self._fcm = HttpListener(
            fcm.handle,
            self._wanted.fcm,
            count_connection=self._count_fcm_connection,
            certificate_file=self.material.server_file,
            stream_limit=lambda: self._state.behaviour.fcm_max_concurrent_streams,
            count=self._count_fcm,
            door=lambda: self._state.behaviour.fcm_connections,
        )
        self._webpush = HttpListener(
            WebPushService(self._state).handle,
            self._wanted.webpush,
            count_connection=self._count_webpush_connection,
            certificate_file=self.material.server_file,
        )
        reach = Reach(
            addresses=lambda: self.addresses,
            goaway=self.go_away,
            ping=self.ping,
            revoke=self._tokens.revoke_all,
            open_connections=lambda: sum(listener.connections for listener in self._apns.values()),
            behave=self._behave,
            reset=self.reset,
        )
        self.control = Control(self._state, reach)
        self._control = HttpListener(self.control.handle, self._wanted.control, count_connection=lambda: 0)
        self.addresses: dict[str, Any] = {}

    def start(self) -> Mapping[str, Any]:
        """Listen on all ports; returns the addresses, which are also in `addresses.json`. Raises OSError."""
        try:
            real = {name: listener.start() for name, listener in self._apns.items()}
            real["fcm"] = self._fcm.start()
            real["control"] = self._control.start()
            real["webpush"] = self._webpush.start()
        except OSError:
            self.stop()
            raise
        self.addresses = self._describe(real)
        self._state.webpush_subscriptions.base_url = self.addresses["webpush_endpoint"]
        self._tokens.audiences = _audiences(real["fcm"])
        self.material.point_service_account_to(self.addresses["token_uri"])
        write_json(self.material.addresses_file, self.addresses)
        log.info("sandbox_started", **self.addresses)
        return self.addresses

    def stop(self) -> None:
        """Close everything; the files stay for the next start."""
        self.director.stop()
        for listener in self._apns.values():
            listener.stop()
        self._fcm.stop()
        self._control.stop()
        self._webpush.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def record(self) -> Record:
        """What was received."""
        return self._state.record

    @property
    def faults(self) -> Faults:
        """What is to go wrong: `faults.arm("apns", Fault(...), token)`."""
        return self._state.faults

    @property
    def apns_devices(self) -> Devices:
        """The registry of APNs devices."""
        return self._state.apns_devices

    @property
    def fcm_devices(self) -> Devices:
        """The registry of FCM registration tokens."""
        return self._state.fcm_devices

    @property
    def clock(self) -> Clock:
        """The sandbox's time, which can be advanced."""
        return self._state.clock

    @property
    def behaviour(self) -> Behaviour:
        """How it behaves without faults; assign another one to change it."""
        return self._state.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._behave(behaviour)

    @property
    def deliveries(self) -> Deliveries:
        """What reached the devices, and what is kept for them or was thrown away."""
        return self._state.deliveries

    @property
    def director(self) -> Director:
        """Who plays scenarios: `director.play(read_scenario(...))`."""
        return self.control.director

    def reset(self) -> None:
        """As just started, but for connections, keys, provider tokens, the numbering and by how much time was moved."""
        self.director.stop()
        self.clock.go_on()
        self.faults.disarm()
        self.faults.seed(1)
        self._state.forget()
        self._behave(Behaviour())

    def ping(self, timeout_s: float) -> list[float | None]:
        """Send PING on all APNs connections; the seconds until each was answered, None for one that was not."""
        return [answer for listener in self._apns.values() for answer in listener.ping_all(timeout_s)]

    def stats(self) -> dict[str, Any]:
        """The counters, as GET /stats shows them."""
        return self.control.stats()

    def arm_apns(self, token: str = "", **fault: Any) -> None:
        """Arm an APNs fault for a token, or with "" for any: `arm_apns(token, reason="Unregistered", times=1)`."""
        self.faults.arm("apns", Fault(**fault), token)

    def arm_fcm(self, token: str = "", **fault: Any) -> None:
        """Arm an FCM fault for a token, or with "" for any."""
        self.faults.arm("fcm", Fault(**fault), token)

    def arm_token_endpoint(self, **fault: Any) -> None:
        """Arm a fault for FCM's OAuth token endpoint."""
        self.faults.arm("oauth", Fault(**fault))

    def arm_webpush(self, token: str = "", **fault: Any) -> None:
        """Arm a Web Push fault for a subscription (endpoint or name), or with "" for any."""
        self.faults.arm("webpush", Fault(**fault), self._state.webpush_subscriptions.endpoint(token) if token else "")

    def subscribe(self, name: str = "", *, application_server_key: str = "") -> Subscription:
        """What a browser does: an endpoint for Web Push, with keys of its own. Raises BadSubscription."""
        return self._state.webpush_subscriptions.add(name, application_server_key)

    @property
    def webpush_devices(self) -> Devices:
        """The browsers by endpoint: online or not, unsubscribed, expired."""
        return self._state.webpush_devices

    def go_away(self, provider: Provider = "apns", reason: str = "Shutdown") -> int:
        """Send GOAWAY on all HTTP/2 connections of a provider; returns on how many."""
        listeners = self._apns.values() if provider == "apns" else [self._fcm]
        return sum(listener.retire_all(reason) for listener in listeners)

    def register_key(self, key: ProviderKey) -> None:
        """Accept provider tokens of one more key."""
        self._state.keys.register(key)

    def _behave(self, behaviour: Behaviour) -> None:
        self._state.behaviour = behaviour
        for listener in self._apns.values():
            listener.refresh_all()
        if behaviour.fcm_connections != "served":
            self._fcm.break_all()

    def _count_fcm(self, what: str) -> None:
        self._state.record.counters[f"fcm_{what}"] += 1

    def _count_webpush_connection(self) -> int:
        self._state.record.counters["webpush_connections"] += 1
        return next(self._state.connection_numbers)

    def _count_fcm_connection(self) -> int:
        self._count_fcm("connections")
        return next(self._state.connection_numbers)

    def _describe(self, real: Mapping[str, Address]) -> dict[str, Any]:
        described: dict[str, Any] = {name: _text(address) for name, address in real.items()}
        files = {
            "ca_file": self.material.ca_file,
            "apns_key_file": self.material.apns_key_file,
            "client_certificate_file": self.material.client_file,
            "service_account_file": self.material.service_account_file,
            "vapid_key_file": self.material.vapid_key_file,
        }
        described |= {name: str(path.absolute()) for name, path in files.items()}
        described["apns_endpoint"] = f"https://{described['apns']}"
        described["apns_development_endpoint"] = f"https://{described['apns_development']}"
        described["fcm_endpoint"] = f"http://{described['fcm']}"
        described["fcm_tls_endpoint"] = f"https://{described['fcm']}"
        described["token_uri"] = f"http://{described['fcm']}{TOKEN_PATH}"
        described["webpush_endpoint"] = f"https://{described['webpush']}"
        described["control_url"] = f"http://{described['control']}"
        return described


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _audiences(address: Address) -> frozenset[str]:
    """All that a client may call the token endpoint: `localhost` and the address are the same place.

    COMPAT(google-auth, 2.x): its assertions name Google's endpoint, whatever token_uri they are sent to.
    """
    hosts = {_text(address), f"localhost:{address[1]}", f"127.0.0.1:{address[1]}"}
    places = {f"{scheme}://{host}{TOKEN_PATH}" for scheme in ("http", "https") for host in hosts}
    return frozenset({GOOGLE_AUDIENCE, *places})
