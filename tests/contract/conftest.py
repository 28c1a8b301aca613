"""One sandbox for all push tests; each finds it as if it had just been started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workers.sandbox.behaviour import Behaviour
from workers.sandbox.server import Addresses, Sandbox


@pytest.fixture(scope="session")
def _running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("push"), Addresses.free()) as running:
        yield running


@pytest.fixture
def sandbox(_running_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox without faults, devices and records."""
    yield _running_sandbox
    _running_sandbox.faults.disarm()
    _running_sandbox.apns_devices.forget()
    _running_sandbox.fcm_devices.forget()
    _running_sandbox.record.clear()
    _running_sandbox.behaviour = Behaviour()
