"""One server for all transcripts: each uses accounts of its own."""

from collections.abc import Iterator

import pytest

from tests.support.phone import close_phones
from tests.support.processes import Server, running

MOST_HIBERNATION_S = 3600


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`wakegate up` with the accounts that the transcripts take."""
    settings = {"smacks": {"smacks_hibernation_time": 600, "smacks_max_hibernation_time": MOST_HIBERNATION_S}}
    with running(tmp_path_factory.mktemp("scenarios"), settings=settings) as server:
        server.stock_accounts(120)
        yield server


@pytest.fixture(autouse=True)
def _no_link_stays_open() -> Iterator[None]:
    yield
    close_phones()
