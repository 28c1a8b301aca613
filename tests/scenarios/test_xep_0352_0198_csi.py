"""What waits for a client that rests (XEP-0352): counted, acknowledged, resumed and pushed for (XEP-0198)."""

import time
from collections.abc import Iterator

import pytest

from gateway.demo.stream import ServerSilent
from tests.scenarios.resting import ACTIVE, INACTIVE, RECEIPT, names, resting, romeo, say, state, tell, until_now
from tests.support.exchange import MESSAGE, PRESENCE, everything
from tests.support.phone import Phone, sm
from tests.support.pieces import Pieces, pieces
from tests.support.processes import Server

ACK_DELAY_S = 0.5


# Stream management


def test_a_resumed_stream_begins_active_with_what_waited(server: Server) -> None:
    phone, friend = resting(server), romeo(server)
    tell(friend, phone, state("composing"))
    assert [] == until_now(phone)
    phone.cut()

    again = Phone(server, phone.account)
    again.resume(phone.session_id, phone.inbound)
    again.jid = phone.jid
    waited = everything(again)
    tell(friend, again, state("paused"))

    assert (["composing"], ["paused"]) == (names(waited), names(until_now(again)))


def test_a_session_of_a_killed_gateway_comes_back_with_what_waited(server: Server) -> None:
    phone, friend = resting(server), romeo(server)
    tell(friend, phone, state("composing"), RECEIPT)
    assert [] == until_now(phone)
    server.kill("gateway")
    server.wait_accepting()

    friend = romeo(server)
    tell(friend, phone, state("paused"), say("hello"))
    again = Phone(server, phone.account)
    again.resume(phone.session_id, phone.inbound)

    assert ["composing", "received", "paused", "hello"] == names(everything(again))


def test_what_waits_is_not_counted_as_sent(server: Server) -> None:
    phone, friend = resting(server), romeo(server)
    before = phone.inbound
    tell(friend, phone, state("composing"), state("paused"))
    assert [] == until_now(phone)

    phone.ack(before)
    phone.send(ACTIVE)
    came = everything(phone)
    phone.cut()
    resumed = Phone(server, phone.account)
    resumed.resume(phone.session_id, before + 1)

    assert ["composing", "paused"] == names(came)
    assert ["paused"] == names(everything(resumed))


def test_an_acknowledgement_beyond_what_was_written_is_refused_though_more_waits(server: Server) -> None:
    phone, friend = resting(server), romeo(server)
    tell(friend, phone, state("composing"))
    assert [] == until_now(phone)

    phone.ack(phone.inbound + 1)

    assert phone.stream_error() is not None


def test_it_works_without_stream_management(server: Server) -> None:
    phone = Phone(server, server.account()).bind().available()
    friend = romeo(server)
    phone.send(INACTIVE)
    phone.round_trip()

    tell(friend, phone, state("composing"), state("paused"))
    phone.send(f"{ACTIVE}")
    first = [phone.skip_to(MESSAGE, PRESENCE) for _ in range(2)]
    tell(friend, phone, say("hello"))

    assert ["composing", "paused", "hello"] == names(first + everything(phone))


def test_stream_management_may_be_switched_on_while_the_client_rests(server: Server) -> None:
    phone = Phone(server, server.account()).bind().available()
    friend = romeo(server)
    phone.send(INACTIVE)
    phone.round_trip()
    tell(friend, phone, state("composing"))

    phone.enable()
    tell(friend, phone, state("paused"))
    waiting = until_now(phone)
    tell(friend, phone, say("hello"))
    came = until_now(phone)
    phone.cut()
    again = Phone(server, phone.account)
    resumed = again.resume(phone.session_id, phone.inbound)

    assert [] == waiting
    assert ["composing", "paused", "hello"] == names(came)
    assert (sm("resumed"), []) == (resumed.tag, everything(again))


# Acknowledgements and pushes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    """A server that is soon out of patience."""
    with pieces(tmp_path_factory.mktemp("csi"), settings={"smacks": {"smacks_max_ack_delay": ACK_DELAY_S}}) as server:
        server.add_accounts(10)
        yield server


def obedient_for(phone: Phone, seconds: float) -> None:
    """Answers every `<r/>`; nothing else may come."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            element = phone.stream.receive(left)
        except ServerSilent:
            return
        assert sm("r") == element.tag
        phone.ack()


def test_what_waits_does_not_make_a_device_overdue_and_what_was_written_does(house: Pieces) -> None:
    phone, friend = resting(house), romeo(house)
    tell(friend, phone, state("composing"))
    assert [] == until_now(phone)

    def is_overdue() -> bool:
        return house.session(phone.account.jid, phone.session_id).get("overdue") == "1"

    obedient_for(phone, 3 * ACK_DELAY_S)
    was_overdue = is_overdue()
    tell(friend, phone, say("hello"))
    house.wait(is_overdue, "the phone to be overdue")
    came = [phone.next(), phone.next()]
    phone.ack()

    assert not was_overdue
    assert ["composing", "hello"] == names(came)
    house.wait(lambda: not is_overdue(), "the phone to be in time again")
