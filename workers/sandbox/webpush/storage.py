"""What a push service keeps for a browser that is offline: every message until its TTL is over, of a topic the newest
(RFC 8030, sections 5.2, 5.4).
"""

from workers.sandbox.clock import Clock
from workers.sandbox.deliveries import Deliveries, Push
from workers.sandbox.devices import Devices


class WebPushStorage:
    """Hands accepted messages to browsers that are online, and keeps the others' for later."""

    def __init__(self, clock: Clock, devices: Devices, deliveries: Deliveries) -> None:
        self._clock = clock
        self._devices = devices
        self._deliveries = deliveries
        self._kept: dict[str, list[Push]] = {}

    def accept(self, push: Push) -> None:
        """Deliver, keep or drop a message."""
        device = self._devices.find(push.token)
        if device is None or device.is_online:
            self._deliveries.deliver(push)
        elif push.expires_at <= self._clock.now():
            # TTL 0: now or never.
            self._deliveries.note("dropped", push)
        else:
            self._keep(push)

    def _keep(self, push: Push) -> None:
        kept = self._kept.setdefault(push.token, [])
        older = next((one for one in kept if push.slot and one.slot == push.slot), None)
        if older is not None:
            kept.remove(older)
            self._deliveries.note("replaced", older)
        kept.append(push)
        self._deliveries.note("stored", push, replaces=older.push if older else 0)

    def flush(self, token: str) -> None:
        """The browser came online: it gets what was kept and has not expired."""
        device = self._devices.find(token)
        if device is not None and not device.is_online:
            return
        for push in self._kept.pop(token, []):
            self._deliveries.deliver_kept(push)

    def discard(self, token: str) -> None:
        """It unsubscribed, and what was kept for it is gone."""
        for push in self._kept.pop(token, []):
            self._deliveries.note("dropped", push)

    def waiting(self, token: str) -> list[Push]:
        """What is kept for a browser."""
        return list(self._kept.get(token, []))

    def forget(self) -> None:
        """Forget everything that is kept."""
        self._kept.clear()
