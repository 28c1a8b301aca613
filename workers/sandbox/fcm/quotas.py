"""FCM's rates ("Scale with FCM", "Message throttling"): for a project, for a device, and for collapsible messages."""

from typing import Any

from workers.sandbox.behaviour import Behaviour
from workers.sandbox.fcm.errors import over_quota
from workers.sandbox.fcm.message import slot_of
from workers.sandbox.rates import Rates

COLLAPSIBLE_REFILL_S = 180.0
"""One of the burst comes back every three minutes."""


class Quotas:
    """Counts messages. Without `fcm_quotas` in the behaviour nothing is counted or refused."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def take_project(self, behaviour: Behaviour, project_id: str) -> None:
        """One request of the project, whatever it asks for. Raises FcmRefusal with Retry-After."""
        if behaviour.fcm_quotas:
            size = behaviour.fcm_project_per_minute
            wait_s = self._rates.take("fcm-project", project_id, size=size, period_s=60.0)
            if wait_s > 0:
                raise over_quota("Message rate exceeded", subject="project", retry_after_s=wait_s)

    def take_device(self, behaviour: Behaviour, message: dict[str, Any]) -> None:
        """One message to a device. Raises FcmRefusal without Retry-After: the project may go on."""
        token = str(message.get("token") or message.get("fid") or "")
        if not behaviour.fcm_quotas or not token:
            return
        burst = behaviour.fcm_collapsible_burst
        buckets = [
            ("fcm-device-minute", behaviour.fcm_device_per_minute, 60.0),
            ("fcm-device-hour", behaviour.fcm_device_per_hour, 3600.0),
        ]
        if slot_of(message):
            buckets.append(("fcm-collapsible", burst, burst * COLLAPSIBLE_REFILL_S))
        for kind, size, period_s in buckets:
            if self._rates.take(kind, token, size=size, period_s=period_s) > 0:
                raise over_quota("Device message rate exceeded", subject=kind.removeprefix("fcm-"))
