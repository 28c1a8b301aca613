"""The devices that the sandbox knows: token, environment, topics, and when the app was removed from them."""

from dataclasses import dataclass, field, replace
from typing import Literal

from workers.sandbox.clock import Clock

State = Literal["registered", "unregistered", "expired"]


@dataclass(frozen=True)
class Device:
    """A device token. `environment` "" and no `topics` mean any; `changed_at` is in Unix milliseconds.

    `is_dozing` is Android's: messages of normal priority wait for the next maintenance window.
    """

    token: str
    environment: str = ""
    topics: frozenset[str] = field(default_factory=frozenset)
    state: State = "registered"
    changed_at: int = 0
    is_online: bool = True
    is_dozing: bool = False


class Devices:
    """One provider's devices. Nothing is kept on disk: a new sandbox knows none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._devices: dict[str, Device] = {}

    def register(self, token: str, *, environment: str = "", topics: frozenset[str] = frozenset()) -> Device:
        """Register a device, also one that had been unregistered: the app was installed again."""
        device = Device(token, environment, topics, "registered", self._clock.now_ms())
        self._devices[token] = device
        return device

    def unregister(self, token: str, state: State = "unregistered", *, changed_at: int | None = None) -> Device:
        """The app was removed ("unregistered") or the token ran out ("expired"): 410 with this time from now on."""
        since = self._clock.now_ms() if changed_at is None else changed_at
        device = replace(self._devices.get(token, Device(token)), state=state, changed_at=since)
        self._devices[token] = device
        return device

    def reach(self, token: str, *, is_online: bool | None = None, is_dozing: bool | None = None) -> Device:
        """Whether the device can be reached, and whether it dozes (None: as before). It is registered if it was not."""
        device = self._devices.get(token) or self.register(token)
        device = replace(
            device,
            is_online=device.is_online if is_online is None else is_online,
            is_dozing=device.is_dozing if is_dozing is None else is_dozing,
        )
        self._devices[token] = device
        return device

    def find(self, token: str) -> Device | None:
        """The device of this token, or None if nobody spoke of it yet."""
        return self._devices.get(token)

    def forget(self) -> None:
        """Forget all devices."""
        self._devices.clear()

    def listing(self) -> list[dict[str, object]]:
        """The devices as JSON values."""
        return [
            {
                "token": device.token,
                "environment": device.environment,
                "topics": sorted(device.topics),
                "state": device.state,
                "changed_at": device.changed_at,
                "online": device.is_online,
                "dozing": device.is_dozing,
            }
            for device in self._devices.values()
        ]
