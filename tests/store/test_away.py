"""Redis answers nothing for longer than clients should wait: they are sent away, come back, and nothing is lost."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gevent
import pytest

from gateway.demo.stream import ClientStream, ServerSilent, StreamEnded, condition_of
from gateway.mailbox.pressure import BUSY, MOST_BYTES, SILENT_S
from gateway.session.inbound import FAIR_SHARE, MOST_ARRIVALS
from gateway.session.session import Session
from gateway.xmpp import ns
from tests.store.conftest import TIMEOUT_S, House, eventually
from tests.support.phone import Phone, a_message, sm

PATIENCE_S = 4.0

STANZA_BYTES = 200_000
EACH = MOST_BYTES // STANZA_BYTES
"""as many from one client are all that may wait"""


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[House]:
    """As `house`, for clients that wait for `PATIENCE_S` only."""
    built = House(tmp_path, patience_s=PATIENCE_S)
    yield built
    built.close()


def has_arrivals(session: Session) -> bool:
    return len(session.arrivals) > FAIR_SHARE


def test_clients_are_sent_away_and_newcomers_refused_and_everybody_resumes_afterwards(impatient: House) -> None:
    romeo, juliet = impatient.phone(), impatient.phone()
    romeo.message(juliet.jid, "before")
    before = romeo.handled(), juliet.bodies(1)
    impatient.freeze()
    try:
        began = time.monotonic()
        romeo.message(juliet.jid, "meanwhile")
        juliet.send("<presence><show>away</show></presence>")  # waits for the store in its connection's greenlet
        with pytest.raises(ServerSilent):
            juliet.next(2 * TIMEOUT_S)
        condition = condition_of(romeo.stream_error())
        waited_s = time.monotonic() - began
        also = condition_of(juliet.stream_error())
        began = time.monotonic()
        newcomer = ClientStream(impatient.address())
        with pytest.raises(StreamEnded):
            newcomer.connect()
        newcomer.cut()
        refused_s = time.monotonic() - began
    finally:
        impatient.thaw()
    asleep = [eventually(partial(impatient.sleeps, phone)) for phone in (romeo, juliet)]
    back = Phone(impatient, juliet.account)
    resumed = back.resume(juliet.session_id, juliet.inbound).tag
    again = Phone(impatient, romeo.account)
    h = int(again.resume(romeo.session_id, romeo.inbound).get("h", ""))
    if h == before[0]:
        again.message(juliet.jid, "meanwhile")

    assert (["before"], "internal-server-error", "internal-server-error") == (before[1], condition, also)
    assert PATIENCE_S - 1 < waited_s < PATIENCE_S + 6
    assert refused_s < 2
    assert [True, True] == asleep
    assert sm("resumed") == resumed
    assert ["meanwhile"] == back.bodies(1)
    assert before[0] + 1 == again.handled()


def test_what_waits_for_redis_is_bounded_however_much_is_sent(house: House) -> None:
    phones = [house.phone() for _ in range(3)]
    to = house.account().jid
    pressure, most = house.gateway.journal.pressure, 0
    house.freeze()
    try:
        writers = [gevent.spawn(phone.send, a_message(to, "x" * STANZA_BYTES) * EACH) for phone in phones]
        crowded = eventually(lambda: pressure.is_crowded)
        for _ in range(20):
            gevent.sleep(0.05)
            most = max(most, pressure.bytes)
        is_held_back = not any(writer.ready() for writer in writers)
    finally:
        house.thaw()
    gevent.joinall(writers, timeout=30)
    handled = [phone.handled() for phone in phones]

    assert crowded and is_held_back
    assert MOST_BYTES <= most <= MOST_BYTES + len(phones) * (STANZA_BYTES + 1000)
    assert [EACH + 2] * 3 == handled  # presence and ping


def test_who_comes_late_to_a_busy_store_gets_a_small_share(house: House) -> None:
    """So that nobody who sends little waits behind many of somebody else's."""
    phones, to = [house.phone() for _ in range(5)], house.account().jid
    sessions = [house.gateway.node.registry.get(phone.session_id) for phone in phones]
    house.freeze()
    try:
        for phone in phones[:4]:
            phone.send(a_message(to, "much") * 100)
        is_busy = eventually(lambda: house.gateway.journal.pressure.waiting > BUSY)
        phones[4].send(a_message(to, "late") * 100)
        assert all(eventually(partial(has_arrivals, session)) for session in sessions if session)
        on_their_way = [len(session.arrivals) for session in sessions if session]
    finally:
        house.thaw()
    handled = [phone.handled() for phone in phones]

    assert is_busy
    assert MOST_ARRIVALS < max(on_their_way) <= MOST_ARRIVALS + 1
    assert 0 < on_their_way[4] <= FAIR_SHARE + 1
    assert [102] * 5 == handled


def test_while_redis_takes_no_writes_nothing_is_acknowledged_and_then_everything(house: House) -> None:
    """As with a full disk (MISCONF): it answers, and refuses everything for the moment."""
    romeo, juliet = house.phone(), house.phone()
    house.redis.config_set("min-replicas-to-write", 1)
    try:
        romeo.message(juliet.jid, "later")
        romeo.send(f"<r xmlns='{ns.SM}'/>")
        with pytest.raises(ServerSilent):
            romeo.next(2 * TIMEOUT_S)
    finally:
        house.redis.config_set("min-replicas-to-write", 0)

    assert ["later"] == juliet.bodies(1)
    assert 3 == romeo.handled()


@pytest.mark.slow
def test_a_frozen_redis_does_not_delay_a_stop(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        for _ in range(5):
            house.phone()
        house.freeze()
        began = time.monotonic()
        house.gateway.stop()
        took_s = time.monotonic() - began
    finally:
        house.thaw()
        house.server.stop()

    assert took_s < SILENT_S + 2
