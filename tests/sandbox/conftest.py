"""A running sandbox for each test; the keys are made once, as RSA keys take long."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.sandbox.server import Addresses, Sandbox


@pytest.fixture(scope="session")
def sandbox_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture
def sandbox(sandbox_dir: Path) -> Iterator[Sandbox]:
    with Sandbox(sandbox_dir, Addresses.free()) as running:
        yield running
