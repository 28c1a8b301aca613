"""XEP-0013 on the wire: how many wait, who wrote them, a look at some or all of them, and their end by request only."""

from xml.etree.ElementTree import Element

import pytest

from gateway.xmpp import ns
from tests.support.exchange import MESSAGE, error_of, everything, request
from tests.support.phone import Phone, online, sm, stanza
from tests.support.processes import Account, Server

NODE = ns.OFFLINE_RETRIEVAL


def left(server: Server, *bodies: str) -> tuple[Account, Phone]:
    """An account for which these messages wait, and who left them."""
    account, friend = server.account(), online(server, server.account(), "orchard")
    for body in bodies:
        friend.message(account.jid, body)
    everything(friend)
    return account, friend


def visitor(server: Server, account: Account) -> Phone:
    """A device that has not said that it is available."""
    phone = Phone(server, account).bind("visitor")
    phone.enable()
    return phone


def count(phone: Phone) -> str | None:
    answer = request(phone, "get", f"<query xmlns='{ns.DISCO_INFO}' node='{NODE}'/>")
    return answer.findtext(f".//{{{ns.DATA_FORMS}}}field[@var='number_of_messages']/{{{ns.DATA_FORMS}}}value")


def headers(phone: Phone) -> list[Element]:
    answer = request(phone, "get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{NODE}'/>")
    assert "result" == answer.get("type") and NODE == answer[0].get("node")
    return list(answer[0])


def nodes(phone: Phone) -> list[str]:
    return [header.get("node", "") for header in headers(phone)]


def offline(inner: str) -> str:
    return f"<offline xmlns='{NODE}'>{inner}</offline>"


def items(action: str, *wanted: str) -> str:
    return offline("".join(f"<item action='{action}' node='{node}'/>" for node in wanted))


def ask(phone: Phone, type_: str, payload: str) -> tuple[list[tuple[str | None, str | None]], Element]:
    """The (node, body) of each message that comes before the answer, and the answer."""
    phone.send(f"<iq type='{type_}' id='o'>{payload}</iq>")
    found = []
    while (element := phone.next()).get("id") != "o":
        if element.tag == MESSAGE:
            item = element.find(f"{{{NODE}}}offline/{{{NODE}}}item")
            found.append((None if item is None else item.get("node"), element.findtext(stanza("body"))))
    return found, element


def test_the_server_tells_that_it_can(server: Server) -> None:
    phone = online(server, server.account())

    answer = request(phone, "get", f"<query xmlns='{ns.DISCO_INFO}'/>", "localhost")

    assert NODE in {feature.get("var") for feature in answer.iter(f"{{{ns.DISCO_INFO}}}feature")}


def test_the_node_tells_what_it_is_and_how_many_wait(server: Server) -> None:
    account, _ = left(server, "one", "two")
    phone = visitor(server, account)

    answer = request(phone, "get", f"<query xmlns='{ns.DISCO_INFO}' node='{NODE}'/>")

    query = answer[0]
    identity = query.find(f"{{{ns.DISCO_INFO}}}identity")
    assert identity is not None
    assert ("automation", "message-list") == (identity.get("category"), identity.get("type"))
    assert NODE == query.get("node")
    assert NODE in {feature.get("var") for feature in query.iter(f"{{{ns.DISCO_INFO}}}feature")}
    form_type = query.find(f".//{{{ns.DATA_FORMS}}}field[@var='FORM_TYPE']")
    assert form_type is not None
    assert ("hidden", NODE) == (form_type.get("type"), form_type.findtext(f"{{{ns.DATA_FORMS}}}value"))
    assert "2" == count(phone)


def test_nothing_waiting_is_an_empty_list(server: Server) -> None:
    phone = visitor(server, server.account())

    assert ("0", []) == (count(phone), headers(phone))


def test_headers_name_the_sender_and_the_account_in_the_order_of_arrival(server: Server) -> None:
    account, friend = left(server, "one", "two", "three")
    phone = visitor(server, account)

    listed = headers(phone)

    assert [(account.jid, friend.jid)] * 3 == [(item.get("jid"), item.get("name")) for item in listed]
    assert ["one", "two", "three"] == [body for _, body in ask(phone, "get", items("view", *nodes(phone)))[0]]
    assert 3 == len({item.get("node") for item in listed})


def test_some_are_looked_at_and_stay(server: Server) -> None:
    account, _ = left(server, "one", "two", "three")
    phone = visitor(server, account)
    first, _, third = nodes(phone)

    messages, answer = ask(phone, "get", items("view", third, first))

    assert [(third, "three"), (first, "one")] == messages
    assert "result" == answer.get("type")
    assert "3" == count(phone)


def test_a_message_that_is_looked_at_is_the_one_that_came_with_its_time(server: Server) -> None:
    account, friend = server.account(), online(server, server.account(), "orchard")
    friend.send(f"<message to='{account.jid}' type='chat' id='m'><body>a &lt; b</body><x xmlns='urn:x'/></message>")
    everything(friend)
    phone = visitor(server, account)

    phone.send(f"<iq type='get' id='o'>{offline('<fetch/>')}</iq>")
    message = phone.skip_to(MESSAGE)

    assert (friend.jid, account.jid, "m") == tuple(message.get(name) for name in ("from", "to", "id"))
    assert "a < b" == message.findtext(stanza("body")) and message.find("{urn:x}x") is not None
    delays = message.findall(f"{{{ns.DELAY}}}delay")
    assert ["localhost"] == [delay.get("from") for delay in delays]


@pytest.mark.parametrize("type_", ["get", "set"])  # slixmpp fetches with an order
def test_all_are_fetched_in_order_and_stay(server: Server, type_: str) -> None:
    account, _ = left(server, *(f"m{n}" for n in range(120)))
    phone = visitor(server, account)

    messages, answer = ask(phone, type_, offline("<fetch/>"))

    assert [f"m{n}" for n in range(120)] == [body for _, body in messages]
    assert [node for node, _ in messages] == nodes(phone)
    assert ("result", "120") == (answer.get("type"), count(phone))


def test_what_is_removed_is_gone_and_the_rest_is_not(server: Server) -> None:
    account, _ = left(server, "one", "two", "three")
    phone = visitor(server, account)
    first, second, third = nodes(phone)

    _, answer = ask(phone, "set", items("remove", first, third))

    assert "result" == answer.get("type")
    assert [second] == nodes(phone)


def test_everything_is_gone_after_a_purge(server: Server) -> None:
    account, _ = left(server, "one", "two")
    phone = visitor(server, account)

    _, answer = ask(phone, "set", offline("<purge/>"))
    phone.send("</stream:stream>")
    assert phone.is_over()

    assert "result" == answer.get("type")
    assert [] == everything(online(server, account))


ASKED = {
    "how many": lambda phone: count(phone),
    "the headers": lambda phone: headers(phone),
    "all of them": lambda phone: ask(phone, "get", offline("<fetch/>")),
}


@pytest.mark.parametrize("what", ASKED)
def test_whoever_asked_gets_no_flood_at_its_presence_and_what_is_new_all_the_same(server: Server, what: str) -> None:
    account, friend = left(server, "one", "two")
    phone = visitor(server, account)

    ASKED[what](phone)
    phone.send("<presence/>")
    flood = everything(phone)
    friend.message(account.jid, "new")
    everything(friend)

    assert [] == flood
    assert ["new"] == [message.findtext(stanza("body")) for message in everything(phone)]
    assert "2" == count(phone)


def test_another_device_gets_no_flood_either_while_that_session_lasts(server: Server) -> None:
    account, _ = left(server, "one")
    phone = visitor(server, account)
    count(phone)

    other = online(server, account, "other")
    while_it_lasts = everything(other)
    phone.send("</stream:stream>")
    assert phone.is_over()
    later = Phone(server, account).bind("later")
    later.send("<presence/>")

    assert [] == while_it_lasts
    assert ["one"] == [message.findtext(stanza("body")) for message in everything(later)]


def test_whoever_did_not_ask_is_flooded(server: Server) -> None:
    account, _ = left(server, "one")
    phone = visitor(server, account)
    phone.send("<presence/>")

    assert ["one"] == [message.findtext(stanza("body")) for message in everything(phone)]


def test_it_is_known_after_a_resumption_that_there_is_to_be_no_flood(server: Server) -> None:
    account, _ = left(server, "one")
    phone = visitor(server, account)
    count(phone)
    phone.cut()
    again = Phone(server, account)
    assert sm("resumed") == again.resume(phone.session_id, phone.inbound).tag
    again.send("<presence/>")

    assert [] == everything(again)


REMOVE_IT = "<item action='remove' node='{node}'/>"

BAD = {
    "nothing": ("get", "", "bad-request"),
    "text": ("get", "fetch", "bad-request"),
    "purge as a question": ("get", "<purge/>", "bad-request"),
    "fetch twice": ("get", "<fetch/><fetch/>", "bad-request"),
    "fetch and purge": ("set", "<fetch/><purge/>", "bad-request"),
    "fetch and items": ("get", "<fetch/><item action='view' node='{node}'/>", "bad-request"),
    "an item without an action": ("get", "<item node='{node}'/>", "bad-request"),
    "an item without a node": ("get", "<item action='view'/>", "bad-request"),
    "an empty node": ("get", "<item action='view' node=''/>", "bad-request"),
    "removing in a question": ("get", "<item action='remove' node='{node}'/>", "bad-request"),
    "viewing in an order": ("set", "<item action='view' node='{node}'/>", "bad-request"),
    "one of two not there": ("set", f"{REMOVE_IT}<item action='remove' node='x'/>", "item-not-found"),
    "a look at what is not there": ("get", "<item action='view' node='1-1'/>", "item-not-found"),
    "a pattern": ("set", "<item action='remove' node='.*'/>", "item-not-found"),
    "a node as long as it gets": ("get", f"<item action='view' node='{'9' * 60000}'/>", "item-not-found"),
    "items of another namespace": ("set", "<item xmlns='urn:x' action='remove' node='{node}'/>", "bad-request"),
    "too many": ("set", "".join(f"<item action='remove' node='{n}'/>" for n in range(1001)), "policy-violation"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_gets_its_error_and_removes_nothing(server: Server, what: str) -> None:
    type_, inner, condition = BAD[what]
    account, _ = left(server, "one", "two")
    phone = visitor(server, account)
    before = nodes(phone)

    _, answer = ask(phone, type_, offline(inner.replace("{node}", before[0])))

    assert condition == error_of(answer)[1]
    assert before == nodes(phone)


def test_nobody_sees_or_removes_what_waits_for_somebody_else(server: Server) -> None:
    account, friend = left(server, "one")
    phone = visitor(server, account)
    (node,) = nodes(phone)

    requests = (
        ("get", offline("<fetch/>")),
        ("get", items("view", node)),
        ("set", items("remove", node)),
        ("set", offline("<purge/>")),
        ("get", f"<query xmlns='{ns.DISCO_INFO}' node='{NODE}'/>"),
    )
    for to in (account.jid, "nobody@localhost", "localhost"):
        answers = [error_of(request(friend, type_, payload, to))[1] for type_, payload in requests]
        assert ["service-unavailable"] * 4 == answers[:4]
        assert answers[4] in ("service-unavailable", "item-not-found")
    listed = request(friend, "get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{NODE}'/>", account.jid)

    assert "error" == listed.get("type") or [] == list(listed[0])
    assert [node] == nodes(phone)
