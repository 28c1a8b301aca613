"""Too much of everything: connections, requests, stanzas; and clients that do not read what they are sent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import gevent
import pytest

from gateway.demo.stream import ServerSilent, StreamEnded
from gateway.xmpp import ns
from tests.hostile.bystanders import Bystanders
from tests.hostile.conftest import NEGOTIATION_S
from tests.hostile.raw import HEADER, Stranger
from tests.support.phone import Phone, a_message, online, stanza
from tests.support.pieces import Pieces, eventually

MESSAGE, PRESENCE = stanza("message"), stanza("presence")
HALF_A_HANDSHAKE = bytes.fromhex("16030100c8010000c40303") + bytes(60)

HALF_OPEN = {
    "nothing": (b"", False),
    "half a header": (HEADER[:60].encode(), False),
    "a header and nothing more": (HEADER.encode(), False),
    "starttls without a handshake": (HEADER.encode() + f"<starttls xmlns='{ns.STARTTLS}'/>".encode(), False),
    "nothing where TLS is spoken": (b"", True),
    "half a handshake": (HALF_A_HANDSHAKE, True),
}


def test_500_connections_that_never_log_in_harm_nobody_and_are_closed(house: Pieces) -> None:
    started = time.monotonic()
    kinds = [HALF_OPEN[what] for what in HALF_OPEN] * 84
    strangers = [Stranger(house, tls=tls).send(sent) for sent, tls in kinds]

    phone = online(house, house.account())
    phone.round_trip()
    for stranger in strangers:
        stranger.until_closed(NEGOTIATION_S + 15)

    assert time.monotonic() - started < NEGOTIATION_S + 15


def test_a_client_that_trickles_bytes_is_closed_in_time_too(house: Pieces) -> None:
    stranger = Stranger(house).send(HEADER)
    trickle = gevent.spawn(_trickle, stranger)
    started = time.monotonic()

    said = stranger.until_closed(NEGOTIATION_S + 10)
    trickle.kill()

    assert b"connection-timeout" in said
    assert time.monotonic() - started < NEGOTIATION_S + 5


def _trickle(stranger: Stranger) -> None:
    while True:
        stranger.send(b" ")
        gevent.sleep(0.005)


@contextmanager
def attacked(phone: Phone, data: str, times: int) -> Iterator[None]:
    """Sends `data` so often and reads nothing, for as long as the block runs."""
    sender = gevent.spawn(_send_all, phone, data, times)
    try:
        yield
    finally:
        sender.kill()


def _send_all(phone: Phone, data: str, times: int) -> None:
    phone.stream.timeout_s = 60
    piece = data * 100
    with suppress(StreamEnded, ServerSilent):
        for _ in range(times // 100):
            phone.send(piece)


FLOODS = {
    "requests for acknowledgement": f"<r xmlns='{ns.SM}'/>",
    "acknowledgements": f"<a xmlns='{ns.SM}' h='0'/>",
    "pings": f"<iq type='get' id='p' to='localhost'><ping xmlns='{ns.PING}'/></iq>",
    "iq that nobody serves": "<iq type='get' id='p'><x xmlns='urn:example'/></iq>",
    "answers to nothing": "<iq type='result' id='p'/>",
    "messages for nobody": a_message("nobody@localhost", "x" * 50),
    "messages for malformed addresses": a_message("a@b@c", "x" * 50),
    "messages to oneself": "<message><body>x</body></message>",
    "changes of presence": "<presence><show>away</show></presence><presence/>",
    "presence for others": "<presence to='nobody@localhost'/>",
    "second enables": f"<enable xmlns='{ns.SM}' resume='true'/>",
    "disco": f"<iq type='get' id='p' to='localhost'><query xmlns='{ns.DISCO_INFO}'/></iq>",
}


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_from_a_client_that_reads_nothing_leaves_others_alone(
    house: Pieces, bystanders: Bystanders, what: str
) -> None:
    phone = Phone(house, house.account()).bind()
    phone.enable()
    phone.send("<presence/>")

    with attacked(phone, FLOODS[what], 25_000):
        for _ in range(4):
            bystanders.exchange(5)  # fails if it takes too long


@pytest.mark.parametrize("what", ["requests for acknowledgement", "second enables", "too early"])
def test_a_flood_before_binding_leaves_others_alone(house: Pieces, bystanders: Bystanders, what: str) -> None:
    phone = Phone(house, house.account())

    with attacked(phone, FLOODS.get(what, f"<a xmlns='{ns.SM}' h='0'/>"), 25_000):
        bystanders.exchange(10)
        gevent.sleep(NEGOTIATION_S / 2)
        bystanders.exchange(10)


def test_10_000_messages_for_a_client_that_never_reads_are_kept_for_it(house: Pieces, bystanders: Bystanders) -> None:
    phone = online(house, house.account())
    sender = house.client(house.account(), resource="sender").login()
    before = house.memory_mb()

    bodies = [f"number {number}" for number in range(10_000)]
    for body in bodies:
        sender.send_message(phone.account.jid, body)
    sender.wait_accepted(60)
    bystanders.exchange(10)
    grown = house.memory_mb() - before
    sender.close()
    again = Phone(house, phone.account)
    again.resume(phone.session_id, phone.inbound)
    received = _read_all(again, len(bodies))

    assert bodies == received
    assert grown < 40


def _read_all(phone: Phone, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        element = phone.next(timeout_s=20)
        if element.tag == MESSAGE:
            found.append(element.findtext(stanza("body")) or "")
            if len(found) % 100 == 0:
                phone.ack()
    phone.ack()
    return found


def test_large_messages_for_a_client_that_never_reads_do_not_fill_the_memory(house: Pieces) -> None:
    phone = online(house, house.account())
    sender = house.client(house.account(), resource="sender").login()
    before, body = house.memory_mb(), "x" * 200_000

    for number in range(300):
        sender.send_message(phone.account.jid, f"{number} {body}")
        if number % 20 == 0:
            sender.wait_accepted(60)
    sender.wait_accepted(60)
    grown = house.memory_mb() - before
    sender.close()
    again = Phone(house, phone.account)
    again.resume(phone.session_id, phone.inbound)
    received = _read_all(again, 300)

    assert [str(number) for number in range(300)] == [text.partition(" ")[0] for text in received]
    assert grown < 45


def test_a_client_that_reads_slowly_gets_everything_in_the_end(house: Pieces) -> None:
    phone = online(house, house.account())
    sender = house.client(house.account(), resource="sender").login()

    for number in range(600):
        sender.send_message(phone.account.jid, f"{number} {'x' * 3000}")
    sender.wait_accepted(60)
    sender.close()

    assert [str(number) for number in range(600)] == [text.partition(" ")[0] for text in _read_all(phone, 600)]


TOO_MUCH = {
    "a stanza of 10 MB": "<message to='a@localhost'><body>" + "x" * 10_000_000,
    "10,000 attributes": "<message" + "".join(f" a{i}='1'" for i in range(10_000)) + "/>",
    "100,000 levels": "<message>" + "<x>" * 100_000,
    "an endless attribute": "<message to='" + "x" * 1_000_000,
    "an endless name": "<" + "x" * 1_000_000,
    "an endless comment": "<!--" + "x" * 1_000_000,
    "an endless reference": "<message>&" + "x" * 1_000_000,
    "100,000 children": "<message to='a@localhost'>" + "<x/>" * 100_000 + "</message>",
    "a document type": "<!DOCTYPE x [<!ENTITY a 'b'>]>",
    "an entity": "<message><body>&lol;</body></message>",
    "a character that XML has not": "<message><body>&#0;</body></message>",
    "an attribute twice": "<message to='a@localhost' to='b@localhost'/>",
    "an undeclared prefix": "<message><x:y/></message>",
    "a comment inside": "<message><!-- x --></message>",
    "an instruction inside": "<message><?x y?></message>",
    "text between stanzas": "hello<message/>",
    "another namespace": "<message xmlns='jabber:server'/>",
    "no namespace": "<message xmlns=''/>",
    "a stream header": HEADER[21:] + "</stream:stream>",
    "somebody else's address": "<message from='romeo@localhost/x' to='a@localhost'/>",
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_no_client_may_send_ends_the_stream_and_not_the_session(house: Pieces, what: str) -> None:
    phone = online(house, house.account())
    inbound, handled = phone.inbound, phone.handled()

    with suppress(StreamEnded):  # it may be over before all is sent
        phone.send(TOO_MUCH[what])
    started = time.monotonic()
    with suppress(StreamEnded):
        phone.is_over()
    took = time.monotonic() - started
    eventually(lambda: house.session(phone.account.jid, phone.session_id)["state"] == "asleep", "hibernation")
    resumed = Phone(house, phone.account).resume(phone.session_id, inbound)

    assert str(handled) == resumed.get("h")
    assert took < 2.5
