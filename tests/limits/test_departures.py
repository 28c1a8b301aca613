"""Many links that break at once. Real Redis, memory for sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from gateway.enrolment import stored
from gateway.session.connection import Connection
from gateway.session.departures import AT_ONCE
from gateway.xmpp import ns
from gateway.xmpp.jid import JID
from tests.limits.test_overload import House, Memory, bind
from tests.unit.xmpp.builders import HEADER

MANY = 200
WAIT_S = 30.0


class Cuttable(Memory):
    """A client that is there until its link is cut, with all others'."""

    def __init__(self, said: bytes, cut: Event) -> None:
        super().__init__(said)
        self._cut = cut

    def read(self, size: int = 16384, *, timeout_s: float | None = None) -> bytes:
        said = super().read(size, timeout_s=timeout_s)
        if not said:
            self._cut.wait(WAIT_S)
        return said


@pytest.fixture
def house(redis_url: str, tmp_path: Path) -> Iterator[House]:
    house = House(redis_url, tmp_path)
    yield house
    house.gateway.stop()


def test_sessions_whose_links_break_at_once_end_a_few_at_a_time_with_others_in_between(house: House) -> None:
    node, cut = house.gateway.node, Event()
    fields = stored("open sesame").to_fields()
    running = []
    for number in range(MANY):
        user = f"u{number}@localhost"
        node.accounts.create(user, fields)
        said = HEADER + (bind("phone") + f"<enable xmlns='{ns.SM}' resume='true'/>").encode()
        connection = Connection(Cuttable(said, cut), node, house.limits.enter("192.0.2.1"))  # type: ignore[arg-type]
        assert connection._negotiation is not None
        connection._negotiation._jid = JID.parse(user)
        running.append(gevent.spawn(connection.run))
    while len(node.connections) < MANY:
        gevent.sleep(0.01)
    cut.set()
    left, steps = MANY, []
    while left:
        gevent.sleep(0)
        steps.append(left - len(node.connections))
        left = len(node.connections)
    gevent.joinall(running, timeout=WAIT_S)

    assert MANY == sum(steps)
    assert max(steps) <= 2 * AT_ONCE
