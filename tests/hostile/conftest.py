"""One gateway for all attacks, and two people who chat while they go on."""

from collections.abc import Iterator

import pytest

from tests.hostile.bystanders import Bystanders
from tests.support.phone import close_phones
from tests.support.pieces import Pieces, pieces

NEGOTIATION_S = 8.0

MOST_GROWTH_MB = 60.0
"""resident memory that the gateway may have more after an attack than before; what Python keeps for later counts too"""


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    settings = {
        "limits": {"negotiation_timeout": NEGOTIATION_S},
        "offline": {"access_max_user_messages": 20_000},
    }
    with pieces(tmp_path_factory.mktemp("hostile"), settings=settings) as server:
        server.add_accounts(160)
        yield server


@pytest.fixture(scope="package")
def bystanders(house: Pieces) -> Iterator[Bystanders]:
    """They chat all the time, over the same two links. In the end each message must have come once, and in order."""
    chat = Bystanders(house)
    yield chat
    chat.finish()
    chat.close()


@pytest.fixture(autouse=True)
def _nobody_is_harmed(house: Pieces, bystanders: Bystanders) -> Iterator[None]:
    """After each test the chat goes on, no fault of ours is in the log, and the gateway is not much larger."""
    before = house.memory_mb()
    yield
    close_phones()
    bystanders.exchange(3)

    assert [] == house.faults()
    assert house.memory_mb() - before < MOST_GROWTH_MB
