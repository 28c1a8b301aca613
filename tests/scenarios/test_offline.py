"""XEP-0160 and RFC 6121, section 8.5.2.2: what waits for somebody who is away, and how it reaches him."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from gateway.demo.stream import condition_of
from gateway.xmpp import ns
from tests.support.phone import Phone, a_message, online, stanza
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import Account

MESSAGE, IQ, PRESENCE = stanza("message"), stanza("iq"), stanza("presence")
QUOTA, WINDOW = 1000, 100


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    settings = {
        "smacks": {"smacks_window": WINDOW, "smacks_hibernation_time": 60},
        "offline": {"access_max_user_messages": QUOTA},
    }
    with pieces(tmp_path_factory.mktemp("offline"), settings=settings) as server:
        server.add_accounts(60)
        yield server


def sender(house: Pieces) -> Phone:
    return Phone(house, house.account()).bind("sender").available()


def leave(house: Pieces, to: str, *bodies: str) -> None:
    """Somebody sends these messages; returns when the server has taken them."""
    phone = sender(house)
    phone.send("".join(a_message(to, body) for body in bodies))
    phone.round_trip()
    phone.cut()


def ready(house: Pieces, account: Account, resource: str = "phone") -> Phone:
    """Bound, with XEP-0198, but without presence."""
    phone = Phone(house, account).bind(resource)
    phone.enable()
    return phone


def collect(phone: Phone, count: int) -> list[str]:
    """The bodies of the next messages, each acknowledged at once, as a good client does."""
    found: list[str] = []
    while len(found) < count:
        element = phone.next()
        if element.tag == MESSAGE:
            found.append(element.findtext(stanza("body")) or "")
        phone.ack()
    return found


def nothing_waits(phone: Phone) -> bool:
    """Whether no message comes before the answer to a ping."""
    phone.send(f"<iq type='get' id='fence' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    while True:
        element = phone.next()
        if element.tag == IQ:
            return True
        if element.tag == MESSAGE:
            return False


BODY = "<body>hello</body>"
STORED = {
    "chat": ("chat", BODY, True),
    "normal": ("normal", BODY, True),
    "no type": ("", BODY, True),
    "an unknown type": ("madeup", BODY, True),
    "groupchat": ("groupchat", BODY, False),
    "headline": ("headline", BODY, False),
    "error": ("error", f"<error type='cancel'><gone xmlns='{ns.STANZAS}'/></error>", False),
    "a chat state alone": ("chat", f"<active xmlns='{ns.CHATSTATES}'/>", False),
    "a chat state with a thread": ("chat", f"<thread>t</thread><composing xmlns='{ns.CHATSTATES}'/>", False),
    "a body with a chat state": ("chat", f"{BODY}<active xmlns='{ns.CHATSTATES}'/>", True),
    "nothing inside": ("chat", "", False),
    "a payload without a body": ("chat", "<x xmlns='urn:example:payload'/>", True),
    "a hint not to store": ("chat", f"{BODY}<no-store xmlns='{ns.HINTS}'/>", False),
    "a hint to store": ("chat", f"<active xmlns='{ns.CHATSTATES}'/><store xmlns='{ns.HINTS}'/>", True),
    "a subject alone": ("normal", "<subject>s</subject>", True),
}


@pytest.mark.parametrize("what", STORED)
def test_what_is_worth_reading_later_is_stored(house: Pieces, what: str) -> None:
    romeo, juliet = sender(house), house.account()
    type_, inner, is_stored = STORED[what]
    attribute = f" type='{type_}'" if type_ else ""

    romeo.send(f"<message to='{juliet.jid}'{attribute} id='m'>{inner}</message>")
    romeo.send("<message to='nobody@localhost' type='chat' id='fence'><body>x</body></message>")
    romeo.skip_to(MESSAGE, MESSAGE, PRESENCE)

    assert is_stored == bool(house.offline(juliet.jid))


def test_a_stored_message_carries_the_time_at_which_it_was_sent(house: Pieces) -> None:
    juliet = house.account()

    before = time.time()
    leave(house, juliet.jid, "late")
    after = time.time()
    message = ready(house, juliet)
    message.send("<presence/>")
    delay = message.skip_to(MESSAGE, PRESENCE).find(f"{{{ns.DELAY}}}delay")

    assert delay is not None and "localhost" == delay.get("from")
    assert before - 0.01 <= datetime.fromisoformat(delay.get("stamp", "")).timestamp() <= after + 0.01


def test_a_message_that_waited_for_presence_alone_is_stamped_and_the_next_one_is_not(house: Pieces) -> None:
    juliet = house.account()
    phone = ready(house, juliet)
    leave(house, juliet.jid, "waited")
    phone.send("<presence/>")
    waited = phone.skip_to(MESSAGE, PRESENCE)
    leave(house, juliet.jid, "live")
    live = phone.skip_to(MESSAGE, PRESENCE)

    assert waited.find(f"{{{ns.DELAY}}}delay") is not None
    assert live.find(f"{{{ns.DELAY}}}delay") is None


def test_a_stamp_of_another_origin_stays_beside_ours(house: Pieces) -> None:
    romeo, juliet = sender(house), house.account()
    theirs = f"<delay xmlns='{ns.DELAY}' from='gateway.example' stamp='2002-09-10T23:08:25Z'/>"

    romeo.send(f"<message to='{juliet.jid}' type='chat'>{BODY}{theirs}</message>")
    romeo.round_trip()
    phone = ready(house, juliet)
    phone.send("<presence/>")
    delays = phone.skip_to(MESSAGE, PRESENCE).findall(f"{{{ns.DELAY}}}delay")

    assert {"gateway.example", "localhost"} == {delay.get("from") for delay in delays}


def test_stored_messages_come_with_the_first_presence_that_is_not_negative(house: Pieces) -> None:
    juliet = house.account()
    leave(house, juliet.jid, "one", "two")
    phone = ready(house, juliet)

    before_presence = nothing_waits(phone)
    phone.send("<presence><priority>-1</priority></presence>")
    while_negative = nothing_waits(phone)
    phone.send("<presence><priority>0</priority></presence>")

    assert (True, True) == (before_presence, while_negative)
    assert ["one", "two"] == collect(phone, 2)


def test_a_second_resource_gets_no_second_copy(house: Pieces) -> None:
    juliet = house.account()
    leave(house, juliet.jid, "one")
    first = ready(house, juliet, "first")
    first.send("<presence/>")
    collect(first, 1)

    second = ready(house, juliet, "second")
    second.send("<presence/>")

    assert nothing_waits(second)


def test_a_message_that_was_not_acknowledged_comes_again_after_a_resumption(house: Pieces) -> None:
    juliet = house.account()
    leave(house, juliet.jid, "one", "two")
    phone = ready(house, juliet)
    phone.send("<presence/>")
    first_time = phone.bodies(2)

    phone.cut()
    again = Phone(house, juliet)
    again.resume(phone.session_id, 0)

    assert ["one", "two"] == first_time == again.bodies(2)


def test_a_message_that_was_not_acknowledged_comes_again_with_a_new_session(house: Pieces) -> None:
    juliet = house.account()
    leave(house, juliet.jid, "one", "two", "three")
    phone = ready(house, juliet)
    phone.send("<presence/>")
    phone.bodies(3)
    phone.ack(phone.inbound - 2)
    phone.handled()

    phone.cut()
    again = ready(house, juliet)
    again.send("<presence/>")

    assert ["two", "three"] == collect(again, 2)


def test_an_acknowledged_message_is_gone(house: Pieces) -> None:
    juliet = house.account()
    leave(house, juliet.jid, "one")
    phone = ready(house, juliet)
    phone.send("<presence/>")
    collect(phone, 1)
    phone.handled()

    phone.cut()
    again = ready(house, juliet)
    again.send("<presence/>")

    assert nothing_waits(again)


def test_without_stream_management_a_message_is_gone_when_the_socket_took_it(house: Pieces) -> None:
    juliet = house.account()
    leave(house, juliet.jid, "one")
    phone = Phone(house, juliet).bind()
    phone.send("<presence/>")
    got = phone.bodies(1)

    phone.cut()
    again = Phone(house, juliet).bind("other")
    again.send("<presence/>")

    assert ["one"] == got
    assert nothing_waits(again)


def test_messages_for_a_session_that_ended_unread_wait_for_the_next_one(house: Pieces) -> None:
    juliet = house.account()
    phone = online(house, juliet)
    leave(house, juliet.jid, "one", "two")
    phone.bodies(2)

    phone.send("</stream:stream>")
    eventually(lambda: house.offline(juliet.jid) == 2, "both to be stored")
    again = ready(house, juliet)
    again.send("<presence/>")

    assert ["one", "two"] == collect(again, 2)


def test_stored_messages_come_before_live_ones_and_nobody_loses_his_place(house: Pieces) -> None:
    juliet, romeo = house.account(), sender(house)
    stored = [f"stored {number}" for number in range(150)]
    live = [f"live {number}" for number in range(150)]
    leave(house, juliet.jid, *stored)
    phone = ready(house, juliet)

    phone.send("<presence/>")
    phone.skip_to(MESSAGE, PRESENCE)
    phone.ack()
    romeo.send("".join(a_message(juliet.jid, body) for body in live))

    assert [*stored[1:], *live] == collect(phone, 299)


def test_a_full_store_refuses_the_next_message_and_is_read_at_the_client_s_pace(house: Pieces) -> None:
    juliet, romeo = house.account(), sender(house)
    bodies = [f"number {number}" for number in range(QUOTA)]
    leave(house, juliet.jid, *bodies)

    romeo.send(a_message(juliet.jid, "one too many", "m1"))
    refusal = romeo.skip_to(MESSAGE, PRESENCE)
    phone = ready(house, juliet)
    phone.send("<presence/>")
    at_once = phone.bodies(WINDOW - 1)  # its own presence came first
    phone.handled()  # the window is full; nothing but this answer comes
    phone.ack()
    rest = collect(phone, QUOTA - WINDOW + 1)

    error = refusal.find(stanza("error"))
    assert error is not None and ("m1", "service-unavailable") == (refusal.get("id"), condition_of(error))
    assert bodies == at_once + rest
    assert 0 == house.offline(juliet.jid)


def test_a_large_message_that_mentions_delays_does_not_stop_what_comes_behind_it(house: Pieces) -> None:
    juliet, romeo = house.account(), online(house, house.account())
    filler = "urn:xmpp:delay" + "x" * (262144 - len(a_message(juliet.jid, "urn:xmpp:delay")))

    romeo.message(juliet.jid, filler)
    romeo.message(juliet.jid, "behind it")
    romeo.handled()
    phone = ready(house, juliet)
    phone.send("<presence/>")

    assert [filler, "behind it"] == collect(phone, 2)


def test_a_client_that_never_counted_is_asked_nothing(house: Pieces) -> None:
    juliet = house.account()
    leave(house, juliet.jid, *(f"number {number}" for number in range(30)))
    phone = Phone(house, juliet).bind()

    phone.send("<presence/>")
    bodies = phone.bodies(30)
    phone.round_trip()

    assert (30, 0) == (len(bodies), phone.requests)
