"""A gateway with too much to do: who is on, and who comes back, before who is new. Real Redis, memory for a socket."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import configuration
from gateway.app import Gateway
from gateway.enrolment import stored
from gateway.limits.hits import Hits
from gateway.limits.process import Limits
from gateway.sections import LimitSettings
from gateway.session.connection import Connection
from gateway.settings import load
from gateway.xmpp import ns
from gateway.xmpp.jid import JID
from tests.unit.xmpp.builders import HEADER

ALICE = "alice@localhost"


class Memory:
    """A client that has said everything, and is gone."""

    def __init__(self, said: bytes) -> None:
        self.peer = "192.0.2.1:5222"
        self.on_drained: Callable[[], None] | None = None
        self.visit = None
        self.tls = None
        self.backlog = 0
        self.closed = False
        self.heard = b""
        self._said = said

    def read(self, size: int = 16384, *, timeout_s: float | None = None) -> bytes:
        said, self._said = self._said, b""
        return said

    def write(self, data: bytes) -> None:
        self.heard += data
        if self.on_drained is not None:
            self.on_drained()

    def start_tls(self, context: object, *, timeout_s: float = 20) -> None:
        raise AssertionError("no TLS here")

    def close(self, flush_s: float = 1.0) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class House:
    def __init__(self, redis_url: str, directory: Path) -> None:
        overrides = {
            "redis.url": redis_url,
            "server.data_dir": str(directory),
            **{f"listen.{name}": [] for name in ("c2s", "c2s_tls", "components", "web")},
        }
        self.gateway = Gateway.build(load(configuration.sections(), overrides=overrides))
        self.gateway.start()
        self.gateway.node.accounts.create(ALICE, stored("open sesame").to_fields())
        self.hits = Hits()
        self.limits = Limits(LimitSettings(), hits=self.hits, sleep=lambda seconds: self.slept.append(seconds))
        self.slept: list[float] = []

    def say(self, said: str) -> bytes:
        """Everything that Alice is answered, who has logged in."""
        link, visit = Memory(HEADER + said.encode()), self.limits.enter("192.0.2.1")
        connection = Connection(link, self.gateway.node, visit)  # type: ignore[arg-type]
        assert connection._negotiation is not None
        connection._negotiation._jid = JID.parse(ALICE)
        connection.run()
        visit.leave()
        return link.heard


@pytest.fixture
def house(redis_url: str, tmp_path: Path) -> Iterator[House]:
    house = House(redis_url, tmp_path)
    yield house
    house.gateway.stop()


def bind(resource: str) -> str:
    return f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>{resource}</resource></bind></iq>"


def test_an_overloaded_gateway_resumes_sessions_but_begins_none(house: House) -> None:
    enabled = house.say(bind("old") + f"<enable xmlns='{ns.SM}' resume='true'/>")
    found = re.search(rb"<enabled [^>]*id='([^']+)'", enabled)
    assert found is not None, enabled
    house.limits.load.is_high = True

    refused = house.say(bind("new"))
    resumed = house.say(f"<resume xmlns='{ns.SM}' previd='{found[1].decode()}' h='0'/>")

    assert b"<error type='wait'><resource-constraint " in refused
    assert b"<resumed " in resumed
    assert {"overload": {"slowed": 1, "refused": 1}} == house.hits.to_json()


def test_a_session_that_can_begin_soon_is_only_late(house: House) -> None:
    house.limits.load.is_high = True

    def sleep(seconds: float) -> None:
        house.slept.append(seconds)
        house.limits.load.is_high = len(house.slept) < 3

    house.limits.sleep = sleep

    assert b"<jid>alice@localhost/new</jid>" in house.say(bind("new"))
    assert 3 == len(house.slept)
    assert {"overload": {"slowed": 1}} == house.hits.to_json()


def test_what_was_refused_may_be_asked_again_on_the_same_stream(house: House) -> None:
    house.limits.load.is_high = True
    asked = house.say(bind("new") + bind("new"))

    assert 2 == asked.count(b"<resource-constraint ")
    house.limits.load.is_high = False
    assert b"<jid>alice@localhost/new</jid>" in house.say(bind("new"))


def test_a_session_too_many_is_refused_and_counted(house: House) -> None:
    most = house.gateway.node.settings["smacks"].max_user_sessions
    for number in range(most):
        house.say(bind(f"r{number}") + f"<enable xmlns='{ns.SM}' resume='true'/>")

    assert b"<error type='wait'><resource-constraint " in house.say(bind("one more"))
    assert {"sessions-per-account": {"refused": 1}} == house.hits.to_json()
