"""Our own faults: one stanza that we fail at must not end its sender's session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.configuration import read
from gateway.demo.stream import Address, condition_of
from gateway.hooks import Query
from gateway.xmpp import ns
from gateway.xmpp.sasl.credentials import derive
from tests.support.phone import Phone, close_phones, stanza
from tests.support.processes import PASSWORD, Account

JULIET = Account("juliet")


class Running:
    """A gateway inside this process, with a feature that is broken."""

    def __init__(self, redis_url: str, directory: Path) -> None:
        listen = {"c2s": ["127.0.0.1:0"], "c2s_tls": [], "websocket": [], "web": []}
        sections = {"server": {"data_dir": str(directory)}, "redis": {"url": redis_url}, "listen": listen}
        self.gateway = Gateway.build(read(overrides=sections))
        self.gateway.node.features.iq[("get", "urn:example:broken", "x")] = self.fail
        self.failed = 0

    def fail(self, query: Query) -> None:
        self.failed += 1
        raise KeyError("what no feature should raise")

    def address(self) -> Address:
        address = next(address for listener in self.gateway.listeners for address in listener.addresses)
        host, _, port = address.rpartition(":")
        return Address(host, int(port))


@pytest.fixture
def running(redis_url: str, tmp_path: Path) -> Iterator[Running]:
    server = Running(redis_url, tmp_path)
    server.gateway.start()
    server.gateway.node.accounts.create(JULIET.jid, derive(PASSWORD, salt=b"salt" * 4, iterations=4096).to_fields())
    yield server
    close_phones()
    server.gateway.stop()


def test_a_stanza_that_we_fail_at_is_answered_counted_and_over(running: Running) -> None:
    phone = Phone(running, JULIET).bind()
    phone.enable()

    phone.send("<iq type='get' id='bad' to='localhost'><x xmlns='urn:example:broken'/></iq>")
    answer = phone.skip_to(stanza("iq"))
    error = answer.find(stanza("error"))

    assert error is not None and ("bad", "internal-server-error") == (answer.get("id"), condition_of(error))
    assert (1, 1) == (phone.handled(), running.failed)


def test_a_fault_outside_of_stanzas_ends_the_stream_and_not_the_session(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(running, JULIET).bind()
    phone.enable()
    (session,) = running.gateway.node.registry.all()

    monkeypatch.setattr(type(session), "ack_requested", lambda self: 1 // 0)
    phone.send(f"<r xmlns='{ns.SM}'/>")
    condition = condition_of(phone.stream_error())
    phone.is_over()
    again = Phone(running, JULIET)

    assert "internal-server-error" == condition
    assert again.resume(phone.session_id, 0).tag.endswith("}resumed")
