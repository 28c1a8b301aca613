"""XEP-0352: what an inactive client need not see now waits, in order, and comes with what is urgent or when it asks."""

import pytest

from gateway.xmpp import ns
from tests.scenarios.resting import ACTIVE, INACTIVE, RECEIPT, names, resting, romeo, say, state, tell, until_now
from tests.support.exchange import MESSAGE, PRESENCE, copy_of, enable_carbons, everything
from tests.support.iq import let_see
from tests.support.phone import Phone, online
from tests.support.processes import Server

MARKER = f"<displayed xmlns='{ns.MARKERS}' id='m0'/>"


def test_clients_are_told_that_they_may_rest(server: Server) -> None:
    phone = Phone(server, server.account())

    assert phone.features.find(f"{{{ns.CSI}}}csi") is not None


def test_every_client_begins_active(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)

    tell(friend, phone, state("composing"))

    assert ["composing"] == names(until_now(phone))


@pytest.mark.parametrize("inner", [state("composing"), RECEIPT, MARKER, f"<thread>t</thread>{state('paused')}"])
def test_what_only_keeps_books_waits_until_the_client_is_active(server: Server, inner: str) -> None:
    phone, friend = resting(server), romeo(server)

    tell(friend, phone, inner)
    while_inactive = until_now(phone)
    phone.send(ACTIVE)

    assert [] == while_inactive
    assert 1 == len(everything(phone))


URGENT = {
    "a body": ("chat", say("hello")),
    "a body with a chat state": ("chat", say("hello") + state("active")),
    "a body of a room": ("groupchat", say("hello")),
    "a call": ("chat", f"<propose xmlns='{ns.CALLS}' id='c'/>"),
    "the end of a call": ("chat", f"<retract xmlns='{ns.CALLS}' id='c'/>"),
    "something encrypted": ("chat", f"<encrypted xmlns='{ns.OMEMO_AXOLOTL}'/>"),
    "something unknown": ("chat", "<x xmlns='urn:example:payload'/>"),
    "an error": ("error", f"<error type='cancel'><gone xmlns='{ns.STANZAS}'/></error>"),
}


@pytest.mark.parametrize("what", URGENT)
def test_what_a_person_or_the_client_waits_for_comes_at_once(server: Server, what: str) -> None:
    type_, inner = URGENT[what]
    phone, friend = resting(server), romeo(server)

    tell(friend, phone, inner, type_=type_)

    assert 1 == len(until_now(phone))


def test_what_is_urgent_comes_behind_all_that_waited_in_order(server: Server) -> None:
    phone, friend = resting(server), romeo(server)

    tell(friend, phone, state("composing"), RECEIPT, state("paused"))
    before = until_now(phone)
    tell(friend, phone, say("hello"))
    flushed = until_now(phone)
    tell(friend, phone, state("active"))
    after = until_now(phone)
    phone.send(ACTIVE)

    assert ([], []) == (before, after)
    assert ["composing", "received", "paused", "hello"] == names(flushed)
    assert ["active"] == names(everything(phone))


def test_what_came_behind_the_urgent_one_waits_again(server: Server) -> None:
    phone, friend = resting(server), romeo(server)

    tell(friend, phone, *(part for n in range(20) for part in (state("composing"), say(f"m{n}"), state("paused"))))
    first = until_now(phone)
    phone.send(ACTIVE)
    rest = everything(phone)

    everything_in_order = [part for n in range(20) for part in ("composing", f"m{n}", "paused")]
    assert everything_in_order == names(first) + names(rest)
    assert "paused" == names(rest)[-1]


def test_a_request_of_another_client_comes_at_once(server: Server) -> None:
    phone, friend = resting(server), romeo(server)

    tell(friend, phone, state("composing"))
    friend.send(f"<iq to='{phone.jid}' type='get' id='v'><query xmlns='{ns.VERSION}'/></iq>")
    friend.send(f"<message to='{friend.account.jid}/none' type='headline'/>")
    message, iq = phone.next(), phone.next()

    assert ("composing", "v") == (names([message])[0], iq.get("id"))


def test_the_answer_to_the_clients_own_request_comes_at_once(server: Server) -> None:
    phone, friend = resting(server), romeo(server)

    tell(friend, phone, state("composing"))
    phone.send(f"<iq type='get' id='p' to='localhost'><ping xmlns='{ns.PING}'/></iq>")

    assert ["composing"] == names([phone.next()])
    assert "p" == phone.next().get("id")


def test_active_brings_everything_before_the_next_request_is_answered(server: Server) -> None:
    phone, friend = resting(server), romeo(server)
    tablet = online(server, phone.account, "tablet")
    tell(friend, phone, state("composing"), state("paused"))
    tablet.send("<presence><status>here</status></presence>")
    tablet.round_trip()
    assert [] == until_now(phone)

    phone.send(f"{ACTIVE}<iq type='get' id='p' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    came = []
    while (element := phone.next()).get("id") != "p":
        came.append(element)

    assert ["composing", "paused"] == [name for name in names(came) if name != "here"]
    assert ["here"] == [name for name in names(came) if name == "here"]


def test_of_presence_only_the_newest_of_each_device_comes(server: Server) -> None:
    phone = resting(server)
    tablet = online(server, phone.account, "tablet")
    laptop = online(server, phone.account, "laptop")

    for n in range(5):
        tablet.send(f"<presence><status>t{n}</status></presence>")
        laptop.send(f"<presence><status>l{n}</status></presence>")
    tablet.send("<presence type='unavailable'><status>gone</status></presence>")
    for each in (tablet, laptop):
        everything(each)
    while_inactive = until_now(phone)
    phone.send(ACTIVE)
    came = everything(phone, PRESENCE)

    assert [] == while_inactive
    assert {"gone", "l4"} == set(names(came)) and 2 == len(came)


def test_of_a_contacts_presence_too_only_the_newest_comes(server: Server) -> None:
    account, contact = server.account(), server.account()
    let_see(server, account, contact, "both")
    let_see(server, contact, account, "both")
    friend, phone = online(server, contact, "orchard"), online(server, account)
    phone.send(INACTIVE)
    until_now(phone)

    for n in range(5):
        friend.send(f"<presence><status>s{n}</status></presence>")
    friend.message(phone.jid, "hello")
    everything(friend)
    flushed = until_now(phone)
    phone.send(ACTIVE)

    assert ["hello"] == names(flushed)
    assert ["s4"] == names(everything(phone, PRESENCE))


def test_presence_of_an_active_client_is_not_merged(server: Server) -> None:
    phone = online(server, server.account())
    tablet = online(server, phone.account, "tablet")

    for n in range(3):
        tablet.send(f"<presence><status>t{n}</status></presence>")
    everything(tablet)

    assert ["t0", "t1", "t2"] == [name for name in names(until_now(phone)) if name.startswith("t")]


def test_nothing_is_lost_however_much_waits(server: Server) -> None:
    phone, friend = resting(server), romeo(server)
    marks = [f"<displayed xmlns='{ns.MARKERS}' id='m{n}'/>" for n in range(700)]

    for start in range(0, 700, 100):
        tell(friend, phone, *marks[start : start + 100])
    assert [] == until_now(phone)
    phone.send(ACTIVE)
    found: list[str | None] = []
    while len(found) < 700:
        found.append(phone.skip_to(MESSAGE, PRESENCE)[0].get("id"))
        if len(found) % 100 == 0:
            phone.ack()

    assert [f"m{n}" for n in range(700)] == found


def test_copies_of_chat_states_wait_and_copies_of_messages_do_not(server: Server) -> None:
    account = server.account()
    tablet = enable_carbons(online(server, account, "tablet"))
    phone, friend = online(server, account), romeo(server)
    tablet.send(INACTIVE)
    until_now(tablet)

    tell(friend, phone, state("composing"))
    waiting = until_now(tablet)
    tell(friend, phone, say("hello"))
    came = [copy_of(message, tablet) for message in until_now(tablet)]

    assert [] == waiting
    assert ["", "hello"] == [copy.body for copy in came]


def test_copies_of_what_the_other_device_sends_wait_in_the_same_way(server: Server) -> None:
    account = server.account()
    tablet = enable_carbons(online(server, account, "tablet"))
    phone, friend = online(server, account), romeo(server)
    tablet.send(INACTIVE)
    until_now(tablet)

    tell(phone, friend, state("composing"), MARKER)
    waiting = until_now(tablet)
    tell(phone, friend, say("hello"))
    came = [copy_of(message, tablet) for message in until_now(tablet)]

    assert [] == waiting
    assert [("sent", ""), ("sent", ""), ("sent", "hello")] == [(copy.way, copy.body) for copy in came]


@pytest.mark.parametrize("times", [1, 2])
def test_saying_it_twice_changes_nothing(server: Server, times: int) -> None:
    phone, friend = online(server, server.account()), romeo(server)
    phone.send(INACTIVE * times)
    until_now(phone)
    tell(friend, phone, state("composing"))
    waiting = until_now(phone)
    phone.send(ACTIVE * times)
    came = everything(phone)
    tell(friend, phone, state("paused"))

    assert ([], ["composing"], ["paused"]) == (waiting, names(came), names(until_now(phone)))


def test_a_client_that_rests_over_and_over_misses_nothing(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)
    expected, found = [], []

    for n in range(10):
        phone.send(INACTIVE)
        tell(friend, phone, f"<displayed xmlns='{ns.MARKERS}' id='a{n}'/>")
        phone.send(ACTIVE)
        tell(friend, phone, f"<displayed xmlns='{ns.MARKERS}' id='b{n}'/>")
        expected += [f"a{n}", f"b{n}"]
        found += [message[0].get("id") for message in everything(phone)]

    assert expected == found


# Bad input


@pytest.mark.parametrize("nonza", [f"<idle xmlns='{ns.CSI}'/>", "<inactive xmlns='urn:xmpp:csi:1'/>"])
def test_what_nobody_knows_ends_the_stream(server: Server, nonza: str) -> None:
    phone = online(server, server.account())
    phone.send(nonza)

    assert "unsupported-stanza-type" in phone.stream_error()[0].tag


def test_a_state_before_there_is_a_session_ends_that_stream_alone(server: Server) -> None:
    phone = Phone(server, server.account())
    other = online(server, phone.account)
    phone.send(INACTIVE)

    assert phone.is_over()
    assert 1 <= other.handled()


def test_what_stands_inside_is_passed_over(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)
    phone.send(f"<inactive xmlns='{ns.CSI}' for='ever'><x xmlns='urn:x'>text</x></inactive>")
    until_now(phone)

    tell(friend, phone, state("composing"))

    assert [] == until_now(phone)
