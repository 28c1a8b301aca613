"""RFC 6121, section 8: which resource gets which stanza, and what its sender is told."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import pytest

from gateway.demo.stream import condition_of
from gateway.xmpp import ns
from tests.support.phone import Phone, stanza
from tests.support.pieces import Pieces, eventually, pieces
from tests.support.processes import Account

MESSAGE, PRESENCE, IQ = stanza("message"), stanza("presence"), stanza("iq")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pieces]:
    """One gateway with a sweeper, which sends the errors for what nobody received."""
    settings = {"smacks": {"smacks_hibernation_time": 2, "smacks_max_hibernation_time": 600}}
    with pieces(tmp_path_factory.mktemp("delivery"), commands=("sweeper",), settings=settings) as server:
        server.add_accounts(100)
        yield server


def here(house: Pieces, account: Account, resource: str, priority: int | None = 0) -> Phone:
    """A bound resource without XEP-0198; `priority` None: it sends no presence."""
    phone = Phone(house, account).bind(resource)
    if priority is not None:
        phone.send(f"<presence><priority>{priority}</priority></presence>")
    phone.round_trip()
    return phone


def a_stanza(name: str, to: str, type_: str = "", *, id_: str = "s1", inner: str = "<body>hello</body>") -> str:
    """A stanza with these attributes; empty ones are left out."""
    attributes = "".join(f" {key}='{value}'" for key, value in (("to", to), ("type", type_), ("id", id_)) if value)
    return f"<{name}{attributes}>{inner}</{name}>"


def everything(phone: Phone, name: str) -> list[Element]:
    """All stanzas of this name that came until now."""
    phone.send(f"<iq type='get' id='fence' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    found: list[Element] = []
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == "fence":
            return found
        if element.tag == name:
            found.append(element)


def error_of(element: Element) -> str:
    """The condition of an error stanza, "" if it is none."""
    error = element.find(stanza("error"))
    return "" if element.get("type") != "error" or error is None else condition_of(error)


# To a bare JID: 8.5.2

TO_BARE = {
    # type: (who of available, negative, silent gets it; what the sender is told)
    "chat": (["available"], ""),
    "": (["available"], ""),
    "normal": (["available"], ""),
    "madeup": (["available"], ""),
    "headline": (["available"], ""),
    "groupchat": ([], "service-unavailable"),
    "error": ([], ""),
}


@pytest.mark.parametrize("type_", TO_BARE)
def test_a_message_to_the_bare_jid_goes_where_its_type_says(house: Pieces, type_: str) -> None:
    romeo, juliet = here(house, house.account(), "r"), house.account()
    resources = {
        "available": here(house, juliet, "available", 1),
        "negative": here(house, juliet, "negative", -1),
        "silent": here(house, juliet, "silent", None),
    }

    romeo.send(a_stanza("message", juliet.jid, type_))
    told = [error_of(answer) for answer in everything(romeo, MESSAGE)]
    got = [name for name, phone in resources.items() if everything(phone, MESSAGE)]

    assert TO_BARE[type_] == (got, "".join(told))


WITHOUT_AVAILABLE = {
    "chat": (1, ""),
    "normal": (1, ""),
    "headline": (0, ""),
    "groupchat": (0, "service-unavailable"),
    "error": (0, ""),
}


@pytest.mark.parametrize("type_", WITHOUT_AVAILABLE)
def test_a_message_for_somebody_without_an_available_resource_is_stored_or_told_by_its_type(
    house: Pieces, type_: str
) -> None:
    romeo, juliet = here(house, house.account(), "r"), house.account()
    negative = here(house, juliet, "negative", -1)

    romeo.send(a_stanza("message", juliet.jid, type_))
    told = [error_of(answer) for answer in everything(romeo, MESSAGE)]

    assert [] == everything(negative, MESSAGE)
    assert WITHOUT_AVAILABLE[type_] == (house.offline(juliet.jid), "".join(told))


def test_every_available_resource_gets_a_copy(house: Pieces) -> None:
    romeo, juliet = here(house, house.account(), "r"), house.account()
    phones = [here(house, juliet, name, priority) for name, priority in (("a", 0), ("b", 5), ("c", 127))]

    romeo.send(a_stanza("message", juliet.jid, "chat"))
    romeo.round_trip()

    assert [1, 1, 1] == [len(everything(phone, MESSAGE)) for phone in phones]


# To a full JID: 8.5.3

TO_FULL = {"chat": 1, "": 1, "normal": 1, "headline": 1, "groupchat": 1, "error": 1}


@pytest.mark.parametrize("type_", TO_FULL)
@pytest.mark.parametrize("priority", [3, -1, None])
def test_a_message_to_a_full_jid_goes_to_that_resource_whatever_its_presence(
    house: Pieces, type_: str, priority: int | None
) -> None:
    romeo, juliet = here(house, house.account(), "r"), house.account()
    meant, other = here(house, juliet, "meant", priority), here(house, juliet, "other", 9)

    romeo.send(a_stanza("message", meant.jid, type_))
    romeo.round_trip()

    assert (TO_FULL[type_], 0) == (len(everything(meant, MESSAGE)), len(everything(other, MESSAGE)))


FULL_JID_GONE = {
    # type: (messages for another available resource, what the sender is told)
    "chat": (1, ""),
    "normal": (1, ""),
    "headline": (0, ""),
    "groupchat": (0, "service-unavailable"),
    "error": (0, ""),
}


@pytest.mark.parametrize("type_", FULL_JID_GONE)
def test_a_message_to_a_resource_that_is_gone_is_meant_for_the_person(house: Pieces, type_: str) -> None:
    romeo, juliet = here(house, house.account(), "r"), house.account()
    other = here(house, juliet, "other")

    romeo.send(a_stanza("message", f"{juliet.jid}/gone", type_))
    told = [error_of(answer) for answer in everything(romeo, MESSAGE)]

    assert FULL_JID_GONE[type_] == (len(everything(other, MESSAGE)), "".join(told))


# Nobody of that name: 8.5.1, RFC 6120 section 10.5

UNKNOWN = {
    ("message", "chat", "nobody@localhost"): "service-unavailable",
    ("message", "headline", "nobody@localhost"): "service-unavailable",
    ("message", "error", "nobody@localhost"): "",
    ("message", "chat", "nobody@localhost/there"): "service-unavailable",
    ("message", "chat", "localhost"): "service-unavailable",
    ("message", "chat", "user@elsewhere.example"): "remote-server-not-found",
    ("message", "chat", "elsewhere.example"): "remote-server-not-found",
    ("message", "chat", "@localhost"): "jid-malformed",
    ("message", "chat", "a@b@c"): "jid-malformed",
    ("message", "chat", ""): "",
    ("presence", "", "nobody@localhost"): "",
    ("presence", "unavailable", "nobody@localhost/there"): "",
    ("presence", "", "user@elsewhere.example"): "",
    ("presence", "madeup", ""): "bad-request",
    ("presence", "subscribe", "nobody@localhost"): "",
    ("presence", "subscribe", "user@elsewhere.example"): "remote-server-not-found",
    ("iq", "get", "nobody@localhost"): "service-unavailable",
    ("iq", "get", "nobody@localhost/there"): "service-unavailable",
    ("iq", "set", "elsewhere.example"): "remote-server-not-found",
    ("iq", "result", "nobody@localhost/there"): "",
    ("iq", "error", "nobody@localhost"): "",
    ("iq", "madeup", "localhost"): "bad-request",
    ("iq", "", "localhost"): "bad-request",
}


@pytest.mark.parametrize(("name", "type_", "to"), UNKNOWN)
def test_a_stanza_for_nobody_is_answered_as_its_kind_demands(house: Pieces, name: str, type_: str, to: str) -> None:
    romeo = here(house, house.account(), "r")
    inner = "<query xmlns='urn:example:unknown'/>" if name == "iq" else ""
    told_by = stanza(name)

    romeo.send(a_stanza(name, to, type_, inner=inner))
    told = [(error_of(answer), answer.get("id")) for answer in everything(romeo, told_by)]
    expected = UNKNOWN[(name, type_, to)]

    assert ([(expected, "s1")] if expected else []) == [one for one in told if one[0]]


def test_an_error_comes_from_the_address_that_was_written_to(house: Pieces) -> None:
    romeo = here(house, house.account(), "r")

    romeo.send(a_stanza("message", "Nobody@localhost/x&amp;y", "chat"))
    (answer,) = everything(romeo, MESSAGE)

    assert ("nobody@localhost/x&y", romeo.jid, "s1") == (answer.get("from"), answer.get("to"), answer.get("id"))


# Iq: 8.5, RFC 6120 section 8.2.3


def test_an_iq_travels_between_two_full_jids_and_back(house: Pieces) -> None:
    romeo, juliet = here(house, house.account(), "r"), here(house, house.account(), "j", None)

    romeo.send(a_stanza("iq", juliet.jid, "get", id_="q7", inner="<time xmlns='urn:xmpp:time'/>"))
    request = juliet.next()
    juliet.send(f"<iq to='{request.get('from')}' type='result' id='{request.get('id')}'/>")
    result = romeo.next()

    assert (romeo.jid, "get", "q7") == (request.get("from"), request.get("type"), request.get("id"))
    assert (juliet.jid, "result", "q7") == (result.get("from"), result.get("type"), result.get("id"))


def test_an_iq_error_from_the_other_side_travels_back(house: Pieces) -> None:
    romeo, juliet = here(house, house.account(), "r"), here(house, house.account(), "j", None)

    romeo.send(a_stanza("iq", juliet.jid, "set", id_="q8", inner="<x xmlns='urn:example:x'/>"))
    juliet.next()
    juliet.send(
        f"<iq to='{romeo.jid}' type='error' id='q8'><error type='cancel'><gone xmlns='{ns.STANZAS}'/></error></iq>"
    )

    assert "gone" == error_of(romeo.next())


BAD_REQUESTS = {
    "no payload": "<iq type='get' id='b' to='localhost'/>",
    "two payloads": f"<iq type='get' id='b' to='localhost'><ping xmlns='{ns.PING}'/><ping xmlns='{ns.PING}'/></iq>",
    "no id": f"<iq type='get' to='localhost'><ping xmlns='{ns.PING}'/></iq>",
}


@pytest.mark.parametrize("what", BAD_REQUESTS)
def test_an_iq_that_is_none_is_a_bad_request(house: Pieces, what: str) -> None:
    romeo = here(house, house.account(), "r")

    romeo.send(BAD_REQUESTS[what])

    assert "bad-request" == error_of(romeo.next())


def test_an_iq_to_a_sleeping_session_waits_and_is_refused_when_the_session_expires(house: Pieces) -> None:
    romeo = here(house, house.account(), "r")
    phone = Phone(house, house.account()).bind("j")
    phone.enable("resume='true' max='1'")
    phone.round_trip()
    phone.ack()
    phone.cut()

    romeo.send(a_stanza("iq", phone.jid, "get", id_="q9", inner="<time xmlns='urn:xmpp:time'/>"))
    answer = romeo.next(timeout_s=20)

    assert ("q9", "service-unavailable", phone.jid) == (answer.get("id"), error_of(answer), answer.get("from"))


# Presence: RFC 6121 section 4


def test_resources_of_one_account_learn_of_each_other(house: Pieces) -> None:
    account = house.account()
    first = here(house, account, "first", 1)

    second = here(house, account, "second", 2)
    seen_by_first = [one.get("from") for one in everything(first, PRESENCE)]
    second.send("</stream:stream>")

    assert second.jid in seen_by_first
    eventually(
        lambda: (second.jid, "unavailable") in [(p.get("from"), p.get("type")) for p in everything(first, PRESENCE)],
        "the presence of the resource that said goodbye",
    )


def test_a_new_resource_is_told_who_is_there_even_with_negative_priority(house: Pieces) -> None:
    account = house.account()
    first = here(house, account, "first", -5)
    second = Phone(house, account).bind("second")

    second.send("<presence/>")
    told = everything(second, PRESENCE)

    assert first.jid in [one.get("from") for one in told]


def test_unavailable_presence_of_a_lost_client_reaches_the_other_resources(house: Pieces) -> None:
    account = house.account()
    first, second = here(house, account, "first"), here(house, account, "second")
    everything(first, PRESENCE)

    second.cut()

    eventually(
        lambda: (second.jid, "unavailable") in [(p.get("from"), p.get("type")) for p in everything(first, PRESENCE)],
        "the presence of the resource that is gone",
    )


def test_directed_presence_reaches_whom_it_names(house: Pieces) -> None:
    romeo, juliet = here(house, house.account(), "r"), here(house, house.account(), "j")

    romeo.send(a_stanza("presence", juliet.jid, inner="<status>for you</status>"))
    romeo.round_trip()
    found = everything(juliet, PRESENCE)

    assert [romeo.jid] == [one.get("from") for one in found if one.findtext(stanza("status")) == "for you"]


def test_presence_of_type_error_without_an_address_leaves_the_session_available(house: Pieces) -> None:
    romeo, juliet = here(house, house.account(), "r"), here(house, house.account(), "j")

    juliet.send("<presence type='error'/>")
    juliet.round_trip()
    romeo.send(a_stanza("message", juliet.account.jid, "chat"))
    romeo.round_trip()

    assert 1 == len(everything(juliet, MESSAGE))


# A message to oneself: RFC 6120 section 10.3.1


@pytest.mark.parametrize("to", ["", "own"])
def test_a_message_without_an_address_is_for_the_sender_s_own_account(house: Pieces, to: str) -> None:
    account = house.account()
    first, second = here(house, account, "first"), here(house, account, "second")

    first.send(a_stanza("message", account.jid if to else "", "chat"))
    to_first = [one.get("to") for one in everything(first, MESSAGE)]
    to_second = [one.get("to") for one in everything(second, MESSAGE)]

    assert ([account.jid], [account.jid]) == (to_first, to_second)
