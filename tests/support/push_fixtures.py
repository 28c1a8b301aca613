"""The push sandbox as fixtures, which a conftest imports: one for all tests below it; each finds it as just started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workers.sandbox.server import Addresses, Sandbox


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The process behind `sandbox`."""
    with Sandbox(tmp_path_factory.mktemp("push"), Addresses.free()) as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox without faults, devices and records."""
    yield running_sandbox
    running_sandbox.reset()
