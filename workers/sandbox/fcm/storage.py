"""What FCM keeps for an app instance that cannot be reached or dozes ("Lifetime of a message", "Message types",
"Setting the priority"): four collapse keys, a hundred other messages, and when a hundred-and-first comes, none of them.
"""

from dataclasses import dataclass, field, replace

from workers.sandbox.clock import Clock
from workers.sandbox.deliveries import Deliveries, Push
from workers.sandbox.devices import Device, Devices

COLLAPSE_KEYS = 4
PENDING = 100


@dataclass
class _Kept:
    """For one device: the collapsible messages by key, the others in order, and whether others were thrown away."""

    collapsible: dict[str, Push] = field(default_factory=dict)
    others: list[Push] = field(default_factory=list)
    last_deleted: Push | None = None


class FcmStorage:
    """Hands accepted messages to devices, or keeps them for later."""

    def __init__(self, clock: Clock, devices: Devices, deliveries: Deliveries) -> None:
        self._clock = clock
        self._devices = devices
        self._deliveries = deliveries
        self._kept: dict[str, _Kept] = {}

    def accept(self, push: Push) -> None:
        """Deliver, keep or drop a message."""
        if _takes(self._devices.find(push.token), push):
            self._deliveries.deliver(push)
        elif push.expires_at <= self._clock.now():
            # ttl 0: now or never.
            self._deliveries.note("dropped", push)
        elif push.slot:
            self._keep_collapsible(push)
        else:
            self._keep_other(push)

    def _keep_collapsible(self, push: Push) -> None:
        kept = self._kept.setdefault(push.token, _Kept()).collapsible
        older = kept.pop(push.slot, None)
        if older is None and len(kept) >= COLLAPSE_KEYS:
            # FCM does not say which four remain; here the oldest goes.
            older = kept.pop(next(iter(kept)))
        if older is not None:
            self._deliveries.note("replaced", older)
        kept[push.slot] = push
        self._deliveries.note("stored", push, replaces=older.push if older else 0)

    def _keep_other(self, push: Push) -> None:
        kept = self._kept.setdefault(push.token, _Kept())
        if len(kept.others) < PENDING:
            kept.others.append(push)
            self._deliveries.note("stored", push)
            return
        for deleted in (*kept.others, push):
            self._deliveries.note("deleted", deleted)
        kept.others.clear()
        kept.last_deleted = push

    def flush(self, token: str, *, maintenance: bool = False) -> None:
        """The device woke, came online, or (`maintenance`) has its window in Doze: it gets what it may have now."""
        device = self._devices.find(token)
        if device is not None and (not device.is_online or (device.is_dozing and not maintenance)):
            return
        kept = self._kept.pop(token, _Kept())
        if kept.last_deleted is not None:
            self._tell_deleted(kept.last_deleted)
        for push in sorted([*kept.collapsible.values(), *kept.others], key=lambda push: push.push):
            self._deliveries.deliver_kept(push)

    def _tell_deleted(self, last: Push) -> None:
        """What an app sees as onDeletedMessages(): it shall synchronise fully."""
        told = replace(last, slot="", collapse_id="", payload={"data": {"message_type": "deleted_messages"}})
        self._deliveries.deliver(told)

    def maintain(self) -> int:
        """Doze's maintenance window for all devices; returns for how many something waited."""
        tokens = list(self._kept)
        for token in tokens:
            self.flush(token, maintenance=True)
        return len(tokens)

    def discard(self, token: str) -> None:
        """The app was removed, and what was kept for it with it."""
        for push in self.waiting(token):
            self._deliveries.note("dropped", push)
        self._kept.pop(token, None)

    def waiting(self, token: str) -> list[Push]:
        """What is kept for a device."""
        kept = self._kept.get(token, _Kept())
        return [*kept.collapsible.values(), *kept.others]

    def forget(self) -> None:
        """Forget everything that is kept."""
        self._kept.clear()


def _takes(device: Device | None, push: Push) -> bool:
    if device is None:
        return True
    return device.is_online and (push.is_urgent or not device.is_dozing)
