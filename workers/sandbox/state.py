"""What the sandbox's listeners share."""

import itertools

from workers.sandbox.apns.credential import ProviderKeys
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.clock import Clock
from workers.sandbox.devices import Devices
from workers.sandbox.faults import Faults
from workers.sandbox.record import Record


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
        self.connection_numbers = itertools.count(1)
