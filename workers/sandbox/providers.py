"""What the control port offers for each provider alike: faults, and devices with what is kept for them."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from workers.sandbox.deliveries import Push
from workers.sandbox.devices import Devices
from workers.sandbox.faults import Faults, Provider, read_fault
from workers.sandbox.forms import DeviceForm
from workers.sandbox.http import HttpRequest


class Storage(Protocol):
    """What a provider keeps for devices that cannot take it now."""

    def flush(self, token: str) -> None:
        """The device can be reached again, perhaps."""
        ...

    def discard(self, token: str) -> None:
        """The app was removed."""
        ...

    def waiting(self, token: str) -> list[Push]:
        """What is kept."""
        ...

    def forget(self) -> None:
        """Forget everything."""
        ...


class ProviderControl:
    """Answers /control/{provider}/... `full_token` says what a token in a path stands for."""

    def __init__(
        self,
        provider: Provider,
        faults: Faults,
        devices: Devices,
        storage: Storage,
        *,
        full_token: Callable[[str], str] = str,
    ) -> None:
        self._provider = provider
        self._faults = faults
        self._devices = devices
        self._storage = storage
        self._full_token = full_token

    def handle(self, request: HttpRequest, parts: list[str]) -> Any:
        """JSON values, or None for a path that means nothing. Raises BadFault, msgspec.MsgspecError."""
        match parts:
            case ["faults"]:
                return self._arm(request, "")
            case ["tokens", token]:
                return self._arm(request, self._full_token(token))
            case ["devices"]:
                return self._all_devices(request)
            case ["devices", token]:
                return self._device(request, self._full_token(token))
            case ["devices", token, "waiting"] if request.method == "GET":
                return {
                    "waiting": [msgspec.to_builtins(push) for push in self._storage.waiting(self._full_token(token))]
                }
            case _:
                return None

    def _arm(self, request: HttpRequest, token: str) -> Any:
        if request.method == "POST":
            self._faults.arm(self._provider, read_fault(request.body), token)
            return {"faults": self._faults.listing()}
        if request.method == "DELETE":
            return {"disarmed": self._faults.disarm(self._provider, token or None)}
        return None

    def _all_devices(self, request: HttpRequest) -> Any:
        if request.method == "DELETE":
            self._devices.forget()
            self._storage.forget()
        elif request.method != "GET":
            return None
        return {"devices": self._devices.listing()}

    def _device(self, request: HttpRequest, token: str) -> Any:
        if request.method == "POST":
            self._change(token, msgspec.json.decode(request.body or b"{}", type=DeviceForm))
        elif request.method == "DELETE":
            self._remove(token, DeviceForm(state="unregistered"))
        else:
            return None
        return {"devices": self._devices.listing()}

    def _change(self, token: str, form: DeviceForm) -> None:
        if form.state != "registered":
            self._remove(token, form)
            return
        if not form.is_about_reach():
            self._devices.register(token, environment=form.environment, topics=frozenset(form.topics))
        self._devices.reach(token, is_online=form.online, is_dozing=form.dozing)
        self._storage.flush(token)

    def _remove(self, token: str, form: DeviceForm) -> None:
        self._devices.unregister(token, form.state, changed_at=form.changed_at)
        self._storage.discard(token)
