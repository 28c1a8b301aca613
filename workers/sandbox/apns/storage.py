"""What APNs keeps for a device that is offline: one notification for each app, usually the newest.

"Sending notification requests to APNs" (apns-expiration, apns-collapse-id) and "Viewing the status of push
notifications" say so; hence a push has to mean "come and fetch".
"""

from workers.sandbox.clock import Clock
from workers.sandbox.deliveries import Deliveries, Push
from workers.sandbox.devices import Devices


class ApnsStorage:
    """Hands accepted pushes to devices that are online, and keeps one per device and bundle ID for the others."""

    def __init__(self, clock: Clock, devices: Devices, deliveries: Deliveries) -> None:
        self._clock = clock
        self._devices = devices
        self._deliveries = deliveries
        self._kept: dict[str, dict[str, Push]] = {}

    def accept(self, push: Push) -> None:
        """Deliver, keep or drop a push."""
        device = self._devices.find(push.token)
        if device is None or device.is_online:
            self._deliveries.deliver(push)
        elif push.expires_at <= self._clock.now():
            # apns-expiration 0 or in the past: one attempt, and the device was not there.
            self._deliveries.note("dropped", push)
        else:
            self._keep(push)

    def _keep(self, push: Push) -> None:
        kept = self._kept.setdefault(push.token, {})
        older = kept.pop(push.slot, None)
        if older is not None:
            self._deliveries.note("replaced", older)
        kept[push.slot] = push
        self._deliveries.note("stored", push, replaces=older.push if older else 0)

    def flush(self, token: str) -> None:
        """The device came online: it gets what was kept and has not expired. A device that is offline gets nothing."""
        device = self._devices.find(token)
        if device is not None and not device.is_online:
            return
        for push in self._kept.pop(token, {}).values():
            self._deliveries.deliver_kept(push)

    def discard(self, token: str) -> None:
        """The app was removed, and what was kept for it with it."""
        for push in self._kept.pop(token, {}).values():
            self._deliveries.note("dropped", push)

    def waiting(self, token: str) -> list[Push]:
        """What is kept for a device."""
        return list(self._kept.get(token, {}).values())

    def forget(self) -> None:
        """Forget everything that is kept."""
        self._kept.clear()
