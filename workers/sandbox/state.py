"""What the sandbox's listeners share."""

import itertools

from workers.sandbox.apns.broadcast import Channels
from workers.sandbox.apns.credential import ProviderKeys
from workers.sandbox.apns.storage import ApnsStorage
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.clock import Clock
from workers.sandbox.deliveries import Deliveries
from workers.sandbox.devices import Devices
from workers.sandbox.faults import Faults
from workers.sandbox.fcm.storage import FcmStorage
from workers.sandbox.peaks import Peak
from workers.sandbox.rates import Rates
from workers.sandbox.record import Record
from workers.sandbox.webpush.storage import WebPushStorage
from workers.sandbox.webpush.subscriptions import Subscriptions


class State:
    """One sandbox's memory. It belongs to one gevent hub, and no operation on it yields."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.behaviour = Behaviour()
        self.faults = Faults()
        self.record = Record()
        self.keys = ProviderKeys(self.clock)
        self.apns_devices = Devices(self.clock)
        self.fcm_devices = Devices(self.clock)
        self.deliveries = Deliveries(self.clock)
        self.rates = Rates(self.clock)
        self.apns_storage = ApnsStorage(self.clock, self.apns_devices, self.deliveries)
        self.fcm_storage = FcmStorage(self.clock, self.fcm_devices, self.deliveries)
        self.channels = Channels()
        self.webpush_devices = Devices(self.clock)
        self.webpush_subscriptions = Subscriptions()
        self.webpush_storage = WebPushStorage(self.clock, self.webpush_devices, self.deliveries)
        self.connection_peak = Peak()
        self.connection_numbers = itertools.count(1)

    def forget(self) -> None:
        """Forget everything that was received, registered or kept."""
        for devices in (self.apns_devices, self.fcm_devices, self.webpush_devices):
            devices.forget()
        self.apns_storage.forget()
        self.fcm_storage.forget()
        self.webpush_storage.forget()
        self.webpush_subscriptions.forget()
        self.channels.forget()
        self.rates.forget()
        self.deliveries.forget()
        self.record.clear()
        self.connection_peak.clear()
