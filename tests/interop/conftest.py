"""One server for all foreign clients: each test uses accounts of its own."""

from collections.abc import Iterator

import pytest

from tests.support.processes import Server, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`wakegate up`."""
    with running(tmp_path_factory.mktemp("interop")) as server:
        server.stock_accounts(60)
        yield server
