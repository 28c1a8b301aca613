"""XEP-0359: one id for a message in an account, the same wherever it shows up, and none that somebody else made up."""

from xml.etree.ElementTree import Element

import pytest

from gateway.xmpp import ns
from tests.support.exchange import copy_of, enable_carbons, everything, request
from tests.support.phone import Phone, online, stanza
from tests.support.processes import Account, Server

STANZA_ID, ORIGIN_ID = f"{{{ns.STANZA_ID}}}stanza-id", f"{{{ns.STANZA_ID}}}origin-id"
BODY = "<body>hello</body>"


def ids(message: Element) -> list[tuple[str | None, str | None]]:
    """(by, id) of each stanza-id."""
    return [(child.get("by"), child.get("id")) for child in message.iter(STANZA_ID)]


def id_by(message: Element, account: Account) -> str:
    """The one id that the account gave."""
    (found,) = [id_ for by, id_ in ids(message) if by == account.jid]
    assert found
    return found


def an_id(by: str, id_: str = "forged") -> str:
    return f"<stanza-id xmlns='{ns.STANZA_ID}' by='{by}' id='{id_}'/>"


def tell(sender: Phone, *stanzas: str) -> None:
    """Sends; returns when all of it is where it belongs."""
    for each in stanzas:
        sender.send(each)
    everything(sender)


def archived(phone: Phone) -> list[tuple[str, str]]:
    """(archive id, body) of everything in the own archive, oldest first."""
    phone.send(f"<iq type='set' id='q'><query xmlns='{ns.MAM}' queryid='q'/></iq>")
    found = []
    for message in everything(phone):
        result = message.find(f"{{{ns.MAM}}}result")
        if result is not None:
            body = result.findtext(f"{{{ns.FORWARD}}}forwarded/{stanza('message')}/{stanza('body')}")
            found.append((result.get("id", ""), body or ""))
    return found


def arriving(server: Server, account: Account) -> Phone:
    """A device to which what waited flows."""
    phone = Phone(server, account).bind()
    phone.send("<presence/>")
    return phone


def romeo(server: Server) -> Phone:
    return online(server, server.account(), "orchard")


def test_server_and_account_tell_that_their_ids_can_be_trusted(server: Server) -> None:
    phone = online(server, server.account())

    for to in ("localhost", phone.account.jid):
        answer = request(phone, "get", f"<query xmlns='{ns.DISCO_INFO}'/>", to)
        assert ns.STANZA_ID in {feature.get("var") for feature in answer.iter(f"{{{ns.DISCO_INFO}}}feature")}


def test_a_message_has_one_id_of_its_recipient(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)

    tell(friend, *(f"<message to='{phone.jid}' type='chat'>{BODY}</message>" for _ in range(3)))
    messages = everything(phone)

    assert 3 == len({id_by(message, phone.account) for message in messages})
    assert all(1 == len(ids(message)) for message in messages)


def test_all_devices_and_the_archive_know_a_message_by_the_same_id(server: Server) -> None:
    account = server.account()
    phone, tablet, laptop = (online(server, account, name) for name in ("phone", "tablet", "laptop"))
    enable_carbons(laptop)
    enable_carbons(tablet)
    friend = romeo(server)

    tell(friend, f"<message to='{account.jid}' type='chat'><body>to all</body></message>")
    to_all = {id_by(message, account) for each in (phone, tablet, laptop) for message in everything(each)}
    tell(friend, f"<message to='{phone.jid}' type='chat'><body>to one</body></message>")
    to_one = {id_by(message, account) for message in everything(phone)}
    copies = [copy_of(message, each) for each in (tablet, laptop) for message in everything(each)]

    assert (1, 1) == (len(to_all), len(to_one))
    assert to_one == {id_by(copy.message, account) for copy in copies} and 2 == len(copies)
    assert [(*to_all, "to all"), (*to_one, "to one")] == archived(phone)


def test_the_two_accounts_of_a_conversation_give_ids_of_their_own(server: Server) -> None:
    phone = online(server, server.account())
    tablet = enable_carbons(online(server, phone.account, "tablet"))
    friend = romeo(server)

    tell(phone, f"<message to='{friend.jid}' type='chat'>{BODY}</message>")
    (received,) = everything(friend)
    (sent,) = [copy_of(message, tablet) for message in everything(tablet)]

    assert [friend.account.jid] == [by for by, _ in ids(received)]
    assert [phone.account.jid] == [by for by, _ in ids(sent.message)]
    assert [(id_by(sent.message, phone.account), "hello")] == archived(phone)
    assert [(id_by(received, friend.account), "hello")] == archived(friend)


def test_a_message_that_waited_has_the_id_under_which_the_archive_has_it(server: Server) -> None:
    account, friend = server.account(), romeo(server)

    tell(friend, f"<message to='{account.jid}' type='chat'>{BODY}</message>")
    phone = arriving(server, account)
    (message,) = everything(phone)

    assert [(id_by(message, account), "hello")] == archived(phone)


def test_a_message_keeps_its_id_over_a_resumption(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)
    had = phone.inbound
    tell(friend, f"<message to='{phone.jid}' type='chat'>{BODY}</message>")
    (first,) = everything(phone)
    phone.cut()
    again = Phone(server, phone.account)
    again.resume(phone.session_id, had)
    (second,) = everything(again)

    assert id_by(first, phone.account) == id_by(second, phone.account)


@pytest.mark.parametrize("what", ["to", "TO", "sender"])
@pytest.mark.parametrize("is_away", [False, True])
def test_an_id_in_the_name_of_an_account_that_gives_them_is_forged(server: Server, what: str, is_away: bool) -> None:
    account, friend = server.account(), romeo(server)
    phone = None if is_away else online(server, account)
    by = {"to": account.jid, "TO": account.jid.upper(), "sender": friend.account.jid}[what]

    tell(friend, f"<message to='{account.jid}' type='chat'>{an_id(by)}{BODY}{an_id(by, 'again')}</message>")
    (message,) = everything(phone or arriving(server, account))

    assert not {"forged", "again"} & {id_ for _, id_ in ids(message)}
    assert 1 == len(ids(message))


def test_what_is_not_archived_has_no_forged_id_either(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)
    inner = f"<no-store xmlns='{ns.HINTS}'/>{an_id(phone.account.jid)}"

    tell(friend, f"<message to='{phone.jid}' type='chat'><composing xmlns='{ns.CHATSTATES}'/>{inner}</message>")
    (message,) = everything(phone)

    assert [] == [id_ for _, id_ in ids(message) if id_ == "forged"]


def test_a_message_to_oneself_has_one_id(server: Server) -> None:
    phone = online(server, server.account())
    tablet = online(server, phone.account, "tablet")

    tell(phone, f"<message to='{tablet.jid}' type='chat'>{an_id(phone.account.jid)}{BODY}</message>")
    (message,) = everything(tablet)

    assert 1 == len(ids(message)) and "forged" != id_by(message, phone.account)


def test_ids_of_others_and_of_the_origin_stay(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)
    origin = f"<origin-id xmlns='{ns.STANZA_ID}' id='o1'/>"
    inner = f"{origin}{an_id('room@rooms.example', 'r1')}{an_id(phone.account.jid)}{BODY}<x xmlns='urn:x'/>"

    tell(friend, f"<message to='{phone.jid}' type='chat' id='m'>{inner}</message>")
    (message,) = everything(phone)

    assert ("room@rooms.example", "r1") in ids(message) and 2 == len(ids(message))
    assert ["o1"] == [child.get("id") for child in message.iter(ORIGIN_ID)]
    assert ("m", "hello") == (message.get("id"), message.findtext(stanza("body")))
    assert message.find("{urn:x}x") is not None


def test_an_id_deeper_inside_is_left_alone(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)
    inner = f"<x xmlns='urn:x'>{an_id(phone.account.jid, 'deep')}</x>{BODY}"

    tell(friend, f"<message to='{phone.jid}' type='chat'>{inner}</message>")
    (message,) = everything(phone)

    assert ["deep"] == [child.get("id") for child in message.iterfind(f"{{urn:x}}x/{STANZA_ID}")]


BAD = [
    f"<stanza-id xmlns='{ns.STANZA_ID}'/>",
    f"<stanza-id xmlns='{ns.STANZA_ID}' by='' id='forged'/>",
    f"<stanza-id xmlns='{ns.STANZA_ID}' by='@' id='forged'/>",
    f"<stanza-id xmlns='{ns.STANZA_ID}' by='{{to}}' id='forged'>text<x/></stanza-id>",
    f"<s:stanza-id xmlns:s='{ns.STANZA_ID}' by='{{to}}' id='forged'/>",
    f"<stanza-id xmlns='{ns.STANZA_ID}' id='forged' by='{{to}}/phone'/>",
]


@pytest.mark.parametrize("child", BAD)
def test_bad_ids_do_not_stop_a_message_and_are_not_taken_for_ours(server: Server, child: str) -> None:
    phone, friend = online(server, server.account()), romeo(server)

    tell(friend, f"<message to='{phone.jid}' type='chat'>{child.format(to=phone.account.jid)}{BODY}</message>")
    (message,) = everything(phone)

    assert "hello" == message.findtext(stanza("body"))
    assert "forged" != id_by(message, phone.account)


def test_a_message_without_anything_else_in_it_keeps_its_shape(server: Server) -> None:
    phone, friend = online(server, server.account()), romeo(server)

    tell(friend, f"<message to='{phone.jid}' type='chat' id='m'>{an_id(phone.account.jid)}</message>")
    (message,) = everything(phone)

    assert "m" == message.get("id") and "forged" not in {id_ for _, id_ in ids(message)}
