"""Redis stops answering, or is killed and comes back: clients stay, nothing is promised meanwhile, nothing is lost."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import gevent
import pytest

from gateway.demo.client import Client
from gateway.demo.stream import ServerSilent, StreamEnded, Unexpected
from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.support.phone import Phone, online, sm, stanza
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import Account

AWAY_S = 10.0
TIMEOUT_S = 3.0
"""how long the gateway waits for one answer before it connects anew"""

MESSAGE, PRESENCE = stanza("message"), stanza("presence")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    """With a sweeper, which must not take the gateway for dead while nobody's heartbeat arrives."""
    settings = {"redis": {"timeout_s": TIMEOUT_S, "appendfsync": "always"}, "smacks": {"smacks_hibernation_time": 300}}
    with pieces(tmp_path_factory.mktemp("away"), commands=("sweeper",), settings=settings) as server:
        server.add_accounts(40)
        yield server


def frozen(house: Pieces) -> Callable[[], None]:
    """Redis answers nothing for a while; its sockets stay open."""
    house.freeze_redis()
    return lambda: house.freeze_redis(frozen=False)


def killed(house: Pieces) -> Callable[[], None]:
    """Redis is killed; it will start again on the same files."""
    house.kill_redis()
    return lambda: house.launch("redis")


OUTAGES = pytest.mark.parametrize("outage", [frozen, killed])


@pytest.mark.slow
@OUTAGES
def test_clients_stay_connected_and_every_message_arrives_once(
    house: Pieces, outage: Callable[[Pieces], Callable[[], None]]
) -> None:
    to = house.account()
    juliet = house.client(to, resource="juliet").login(max_s=300)
    romeos = [house.client(house.account(), resource="romeo").login(max_s=300) for _ in range(5)]
    for romeo in romeos:
        romeo.send_message(to.jid, "before")
    juliet.wait_messages(5)

    come_back = outage(house)
    accepted = [len(romeo.accepted) for romeo in romeos]
    for number in range(50):
        for romeo in romeos:
            romeo.send_message(to.jid, f"{romeo.username} {number}")
            romeo.request_ack()
    gevent.sleep(AWAY_S)
    meanwhile = [len(romeo.accepted) for romeo in romeos], len(juliet.messages)
    come_back()
    for romeo in romeos:
        romeo.wait_accepted(40)
    juliet.wait_messages(5 + 250, 40)

    # What was on its way when Redis went may have been taken just before.
    assert meanwhile[1] <= 5 + 250 and sum(meanwhile[0]) - sum(accepted) <= 5
    assert [romeo.username for romeo in romeos if romeo.ended.is_set()] == []
    assert not juliet.ended.is_set()
    for romeo in romeos:
        mine = [message.body for message in juliet.messages if message.body.startswith(f"{romeo.username} ")]
        assert [f"{romeo.username} {number}" for number in range(50)] == mine
    _close(juliet, *romeos)


def _close(*clients: Client) -> None:
    for client in clients:
        client.close()


@pytest.mark.slow
@OUTAGES
def test_nothing_is_acknowledged_while_the_store_is_away(
    house: Pieces, outage: Callable[[Pieces], Callable[[], None]]
) -> None:
    phone, juliet = online(house, house.account()), online(house, house.account())
    start = phone.handled()

    come_back = outage(house)
    phone.message(juliet.account.jid, "while it is away")
    phone.send("<r xmlns='urn:xmpp:sm:3'/>")
    with pytest.raises(ServerSilent):
        phone.next(timeout_s=TIMEOUT_S + 2)
    come_back()
    answer = phone.next(timeout_s=20)

    assert (sm("a"), str(start + 1)) == (answer.tag, answer.get("h"))
    assert ["while it is away"] == juliet.bodies(1)


@pytest.mark.slow
@OUTAGES
def test_a_session_cut_during_the_outage_hibernates_afterwards_and_can_be_resumed(
    house: Pieces, outage: Callable[[Pieces], Callable[[], None]]
) -> None:
    phone, romeo = online(house, house.account()), online(house, house.account())
    start = phone.handled()

    come_back = outage(house)
    phone.message(romeo.account.jid, "on its way when the link broke", "m1")
    gevent.sleep(0.2)
    phone.cut()
    gevent.sleep(AWAY_S / 2)
    come_back()
    eventually(lambda: house.session(phone.account.jid, phone.session_id)["state"] == "asleep", "hibernation", 30)
    romeo.message(phone.account.jid, "hello")
    again = Phone(house, phone.account)
    resumed = again.resume(phone.session_id, phone.inbound)

    if int(resumed.get("h", "")) == start:  # as a client does; the mailbox knows it again
        again.message(romeo.account.jid, "on its way when the link broke", "m1")
    again.message(romeo.account.jid, "and the next one")

    assert sm("resumed") == resumed.tag
    assert ["on its way when the link broke", "and the next one"] == romeo.bodies(2)
    assert ["hello"] == again.bodies(1)


@pytest.mark.slow
def test_a_login_during_the_outage_is_answered_in_bounded_time_and_works_afterwards(house: Pieces) -> None:
    account = house.account()

    come_back = frozen(house)
    with pytest.raises(Unexpected, match="temporary-auth-failure"), gevent.Timeout(TIMEOUT_S + 10):
        Phone(house, account)
    come_back()
    phone = _patiently(house, account).bind()

    assert phone.available().jid.startswith(account.jid)


def _patiently(house: Pieces, account: Account) -> Phone:
    found: list[Phone] = []

    def is_in() -> bool:
        with suppress(Unexpected, StreamEnded, ServerSilent):
            found.append(Phone(house, account))
        return bool(found)

    eventually(is_in, "a login", 30)
    return found[0]


@pytest.mark.slow
def test_a_bind_that_the_store_took_too_late_leaves_no_session_without_a_client(house: Pieces) -> None:
    """The client was told that it failed: messages for that resource must not wait for a connection that is none."""
    account = house.account()
    phone = Phone(house, account)

    come_back = frozen(house)
    phone.send(f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>late</resource></bind></iq>")
    answer = phone.next(timeout_s=TIMEOUT_S + 5)
    phone.cut()
    come_back()

    assert "error" == answer.get("type")
    resources = keys.key(keys.prefix(account.jid), "resources", account.jid)
    eventually(lambda: house.store.hget(resources, "late"), "the store to take it")
    eventually(lambda: not house.store.hget(resources, "late"), "its end", 30)
