"""XEP-0191 and XEP-0377 on the wire: the list, its pushes, and what either side of a block is told."""

from xml.etree.ElementTree import Element

import pytest

from gateway.demo.stream import condition_of
from gateway.mailbox import keys
from gateway.mailbox.embedded import socket_path
from gateway.mailbox.journal import Journal
from gateway.mailbox.reports import Report, Reports
from gateway.xmpp import ns
from tests.support.iq import let_see, store_of
from tests.support.phone import Phone, online, sm, stanza
from tests.support.processes import Server

MESSAGE, PRESENCE, IQ = stanza("message"), stanza("presence"), stanza("iq")
ITEM = f"{{{ns.BLOCKING}}}item"
BLOCKED = f"{{{ns.BLOCKING_ERRORS}}}blocked"


def ask(phone: Phone, type_: str, payload: str, to: str = "") -> Element:
    """An iq request and its answer; what else comes before the answer is skipped."""
    address = f" to='{to}'" if to else ""
    phone.send(f"<iq type='{type_}' id='ask'{address}>{payload}</iq>")
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == "ask":
            return element


def items(*jids: str) -> str:
    return "".join(f"<item jid='{jid}'/>" for jid in jids)


def block(phone: Phone, *jids: str) -> Element:
    return ask(phone, "set", f"<block xmlns='{ns.BLOCKING}'>{items(*jids)}</block>")


def unblock(phone: Phone, *jids: str) -> Element:
    return ask(phone, "set", f"<unblock xmlns='{ns.BLOCKING}'>{items(*jids)}</unblock>")


def listed(phone: Phone) -> list[str | None]:
    answer = ask(phone, "get", f"<blocklist xmlns='{ns.BLOCKING}'/>")
    assert "result" == answer.get("type")
    return [item.get("jid") for item in answer.iter(ITEM)]


def everything(phone: Phone) -> list[Element]:
    """All stanzas but presence of the own devices that came until now."""
    phone.send(f"<iq type='get' id='fence' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    found: list[Element] = []
    while True:
        element = phone.next()
        if element.tag == IQ and element.get("id") == "fence":
            return [each for each in found if not (each.get("from") or "").startswith(f"{phone.account.jid}/")]
        found.append(element)


def error_of(element: Element) -> tuple[str, str]:
    """Type and condition of an error stanza."""
    error = element.find(stanza("error"))
    assert error is not None and "error" == element.get("type"), f"no error: {element.tag} {element.attrib}"
    return error.get("type", ""), condition_of(error)


def pushed(phone: Phone, name: str) -> list[str | None]:
    """The addresses of the push that comes next."""
    push = phone.skip_to(IQ, PRESENCE)
    command = push.find(f"{{{ns.BLOCKING}}}{name}")
    assert "set" == push.get("type") and command is not None
    assert push.get("from") in (None, phone.account.jid) and phone.jid == push.get("to")
    phone.send(f"<iq type='result' id='{push.get('id')}'/>")
    return [item.get("jid") for item in command]


def pair(server: Server) -> tuple[Phone, Phone]:
    """Juliet, who blocks, and Romeo."""
    return online(server, server.account()), online(server, server.account())


def test_the_server_tells_that_it_can_block_and_takes_reports(server: Server) -> None:
    phone = online(server, server.account())

    answer = ask(phone, "get", f"<query xmlns='{ns.DISCO_INFO}'/>", to="localhost")

    features = {feature.get("var") for feature in answer.iter(f"{{{ns.DISCO_INFO}}}feature")}
    assert {ns.BLOCKING, ns.REPORTING} <= features


def test_a_list_begins_empty_and_holds_what_was_blocked_over_sessions(server: Server) -> None:
    account = server.account()
    phone = online(server, account)

    assert [] == listed(phone)
    assert "result" == block(phone, "romeo@montague.example", "shakespeare.example").get("type")
    phone.send("</stream:stream>")
    assert phone.is_over()
    assert ["romeo@montague.example", "shakespeare.example"] == listed(online(server, account, "tablet"))


def test_addresses_are_kept_as_they_are_compared(server: Server) -> None:
    phone, romeo = pair(server)
    block(phone, romeo.account.jid.upper(), romeo.account.jid)

    assert [romeo.account.jid] == listed(phone)


def test_devices_that_asked_for_the_list_are_told_of_each_change(server: Server) -> None:
    account = server.account()
    phone, tablet, laptop = (online(server, account, name) for name in ("phone", "tablet", "laptop"))
    for each in (phone, tablet):
        listed(each)

    phone.send(
        f"<iq type='set' id='b1'><block xmlns='{ns.BLOCKING}'>{items('a@x.example', 'b@x.example')}</block></iq>"
    )
    first = pushed(tablet, "block")
    own = pushed(phone, "block")
    phone.skip_to(IQ, PRESENCE)
    phone.send(f"<iq type='set' id='b2'><unblock xmlns='{ns.BLOCKING}'>{items('a@x.example')}</unblock></iq>")
    second = pushed(tablet, "unblock")
    pushed(phone, "unblock")
    phone.skip_to(IQ, PRESENCE)
    phone.send(f"<iq type='set' id='b3'><unblock xmlns='{ns.BLOCKING}'/></iq>")
    third = pushed(tablet, "unblock")

    assert ["a@x.example", "b@x.example"] == first == own
    assert (["a@x.example"], []) == (second, third)
    assert [] == everything(laptop)


def test_who_is_blocked_cannot_tell_it_from_an_account_that_does_not_exist(server: Server) -> None:
    juliet, romeo = pair(server)
    block(juliet, romeo.account.jid)

    answers = []
    for to in (juliet.account.jid, juliet.jid, "nobody@localhost", "nobody@localhost/phone"):
        romeo.send(f"<message to='{to}' type='chat' id='m'><body>hello</body></message>")
        message = romeo.skip_to(MESSAGE, PRESENCE)
        request = ask(romeo, "get", f"<ping xmlns='{ns.PING}'/>", to=to)
        version = ask(romeo, "get", f"<query xmlns='{ns.DISCO_INFO}'/>", to=to)
        answers.append([error_of(each) for each in (message, request, version)])

    assert [[("cancel", "service-unavailable")] * 3] * 4 == answers
    assert [] == everything(juliet)


def test_no_stanza_of_the_blocked_reaches_any_device(server: Server) -> None:
    juliet, romeo = pair(server)
    tablet = online(server, juliet.account, "tablet")
    block(juliet, romeo.account.jid)

    romeo.send(f"<presence to='{juliet.jid}'/>")
    romeo.send(f"<presence to='{juliet.account.jid}' type='unavailable'/>")
    romeo.send(f"<presence to='{juliet.account.jid}' type='probe'/>")
    romeo.send(f"<iq to='{juliet.jid}' type='result' id='r'/>")
    romeo.send(f"<iq to='{juliet.jid}' type='error' id='r'><error type='cancel'/></iq>")
    romeo.send(f"<message to='{juliet.jid}' type='error' id='e'><error type='cancel'/></message>")
    romeo.send(f"<message to='{juliet.jid}' type='headline'><body>news</body></message>")
    heard = [each for each in everything(romeo) if each.tag != MESSAGE]

    assert [] == everything(juliet) == everything(tablet)
    assert [] == heard


def test_a_message_of_the_blocked_does_not_wait_for_an_account_that_is_away(server: Server) -> None:
    juliet, romeo = pair(server)
    block(juliet, romeo.account.jid)
    juliet.send("</stream:stream>")
    assert juliet.is_over()

    romeo.message(juliet.account.jid, "hello", "m")

    assert ("cancel", "service-unavailable") == error_of(romeo.skip_to(MESSAGE, PRESENCE))
    assert [] == everything(online(server, juliet.account))


def test_a_stanza_for_somebody_one_has_blocked_comes_back_and_says_why(server: Server) -> None:
    juliet, romeo = pair(server)
    block(juliet, romeo.account.jid)

    errors = []
    for to in (romeo.account.jid, romeo.jid):
        juliet.send(f"<message to='{to}' type='chat' id='m'><body>hello</body></message>")
        errors.append(juliet.skip_to(MESSAGE, PRESENCE))
        errors.append(ask(juliet, "get", f"<query xmlns='{ns.DISCO_INFO}'/>", to=to))

    assert [("not-acceptable", True)] * 4 == [
        (error_of(each)[1], each.find(f"{stanza('error')}/{BLOCKED}") is not None) for each in errors
    ]
    assert ["cancel"] * 4 == [error_of(each)[0] for each in errors]
    assert [] == everything(romeo)


def test_presence_for_somebody_one_has_blocked_comes_back_too(server: Server) -> None:
    juliet, romeo = pair(server)
    block(juliet, romeo.account.jid)

    juliet.send(f"<presence to='{romeo.jid}' id='p'/>")
    (refused,) = everything(juliet)

    assert PRESENCE == refused.tag and ("cancel", "not-acceptable") == error_of(refused)
    assert [] == everything(romeo)


def test_answers_to_somebody_one_has_blocked_go_nowhere(server: Server) -> None:
    juliet, romeo = pair(server)
    block(juliet, romeo.account.jid)

    juliet.send(f"<iq to='{romeo.jid}' type='result' id='r'/>")
    juliet.send(f"<iq to='{romeo.jid}' type='error' id='r'><error type='cancel'/></iq>")
    juliet.send(f"<message to='{romeo.jid}' type='error' id='r'><error type='cancel'/></message>")

    assert [] == everything(juliet) == everything(romeo)


def test_after_the_end_of_a_block_both_hear_each_other_again(server: Server) -> None:
    juliet, romeo = pair(server)
    block(juliet, romeo.account.jid)
    unblock(juliet, romeo.account.jid)
    romeo.message(juliet.jid, "hello")
    juliet.message(romeo.jid, "hello yourself")

    assert (["hello"], ["hello yourself"]) == (juliet.bodies(1), romeo.bodies(1))


def test_blocking_one_device_of_somebody_leaves_the_others(server: Server) -> None:
    juliet, romeo = pair(server)
    other = online(server, romeo.account, "other")
    block(juliet, romeo.jid)

    romeo.message(juliet.jid, "from the blocked device", "m")
    refusal = romeo.skip_to(MESSAGE, PRESENCE)
    other.message(juliet.jid, "from the other")

    assert ("cancel", "service-unavailable") == error_of(refusal)
    assert ["from the other"] == juliet.bodies(1)


def test_who_blocks_the_own_server_still_reaches_it_and_the_own_devices(server: Server) -> None:
    juliet, romeo = pair(server)
    tablet = online(server, juliet.account, "tablet")
    block(juliet, "localhost")

    romeo.message(juliet.jid, "hello", "m")
    refusal = romeo.skip_to(MESSAGE, PRESENCE)
    tablet.message(juliet.jid, "note")
    note = juliet.bodies(1)
    ping = ask(juliet, "get", f"<ping xmlns='{ns.PING}'/>", to="localhost")

    assert ("cancel", "service-unavailable") == error_of(refusal)
    assert (["note"], "result") == (note, ping.get("type"))


@pytest.mark.parametrize("own", ["{bare}", "{bare}/phone", "{bare}/another"])
def test_nobody_blocks_the_own_account(server: Server, own: str) -> None:
    phone = online(server, server.account())

    refusal = block(phone, "romeo@montague.example", own.format(bare=phone.account.jid))

    assert ("cancel", "not-allowed") == error_of(refusal)
    assert [] == listed(phone)


REPORT = f"<report xmlns='{ns.REPORTING}' reason='{ns.REPORTING_REASONS}:spam'><text>SECRET WORDS</text></report>"


def reports(server: Server, by: Phone) -> list[Report]:
    """What an operator sees."""
    journal = Journal(f"unix://{socket_path(server.directory / 'data')}")
    journal.start()
    try:
        return [report for report in Reports(journal).newest(1000) if report.by == by.account.jid]
    finally:
        journal.stop()


def test_nobody_floods_the_operator_with_reports(server: Server) -> None:
    juliet = online(server, server.account())
    many = "".join(f"<item jid='a{n}@x.example'>{REPORT * 3}</item>" for n in range(50))

    assert "result" == ask(juliet, "set", f"<block xmlns='{ns.BLOCKING}'>{many}</block>").get("type")
    ask(juliet, "set", f"<block xmlns='{ns.BLOCKING}'><item jid='last@x.example'>{REPORT}</item></block>")

    found = reports(server, juliet)
    assert (21, "last@x.example") == (len(found), found[-1].about)


def test_a_report_is_for_the_operator_without_its_text_and_the_sender_is_blocked(server: Server) -> None:
    juliet, romeo = pair(server)

    answer = ask(juliet, "set", f"<block xmlns='{ns.BLOCKING}'><item jid='{romeo.account.jid}'>{REPORT}</item></block>")

    assert "result" == answer.get("type")
    assert [romeo.account.jid] == listed(juliet)
    (report,) = reports(server, juliet)
    assert (romeo.account.jid, f"{ns.REPORTING_REASONS}:spam", 0) == (report.about, report.reason, report.stanzas)
    server.wait(lambda: "abuse_reported" in server.log(), "word of it in the log")
    assert not [text for text in (romeo.account.jid, juliet.account.jid, "SECRET WORDS") if text in server.log()]


LONG_DOMAIN = f"@{'x' * 60}.{'y' * 60}.example"


def a_block(inner: str) -> str:
    return f"<block xmlns='{ns.BLOCKING}'>{inner}</block>"


BAD = {
    "nobody": ("set", a_block(""), "bad-request"),
    "text instead of items": ("set", a_block("romeo@x.example"), "bad-request"),
    "an item without an address": ("set", a_block("<item/>"), "bad-request"),
    "an item with text": ("set", a_block("<item>a@x.example</item>"), "bad-request"),
    "an empty address": ("set", a_block("<item jid=''/>"), "bad-request"),
    "a malformed address": ("set", a_block(items("a@x.example", "@x")), "jid-malformed"),
    "an address too long": ("set", a_block(items("a" * 1024 + "@x")), "jid-malformed"),
    "items of another namespace": ("set", a_block("<item xmlns='urn:example:x' jid='a@x.example'/>"), "bad-request"),
    "unblocking what is malformed": ("set", f"<unblock xmlns='{ns.BLOCKING}'>{items('a@')}</unblock>", "jid-malformed"),
    "too many at once": ("set", a_block(items(*(f"{n}{LONG_DOMAIN}" for n in range(990)))), "policy-violation"),
    "more than a list takes": ("set", a_block(items(*(f"{n}@x.example" for n in range(1000)))), "resource-constraint"),
    "more than anybody asks": ("set", a_block(items(*(f"{n}@x.example" for n in range(1001)))), "policy-violation"),
    "as many as fit into it": ("set", a_block(items(*(f"a{n}" for n in range(7000)))), "policy-violation"),
    "block as a question": ("get", a_block(items("a@x.example")), "service-unavailable"),
    "the list as an order": ("set", f"<blocklist xmlns='{ns.BLOCKING}'/>", "service-unavailable"),
    "another namespace": (
        "set",
        "<block xmlns='urn:example:x'><item jid='a@x.example'/></block>",
        "service-unavailable",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_gets_its_error_and_changes_nothing(server: Server, what: str) -> None:
    type_, payload, condition = BAD[what]
    phone = online(server, server.account())
    block(phone, "romeo@x.example")

    answer = ask(phone, type_, payload)

    assert condition == error_of(answer)[1]
    assert ["romeo@x.example"] == listed(phone)


REQUESTS = (
    ("get", f"<blocklist xmlns='{ns.BLOCKING}'/>"),
    ("set", f"<block xmlns='{ns.BLOCKING}'><item jid='a@x.example'/></block>"),
    ("set", f"<unblock xmlns='{ns.BLOCKING}'/>"),
)


@pytest.mark.parametrize("request_", REQUESTS)
def test_nobody_sees_or_changes_the_list_of_somebody_else(server: Server, request_: tuple[str, str]) -> None:
    juliet, romeo = pair(server)
    block(juliet, "tybalt@x.example")

    answers = [
        error_of(ask(romeo, *request_, to=to)) for to in (juliet.account.jid, juliet.account.jid + "/no", "localhost")
    ]

    assert [("cancel", "service-unavailable")] * 3 == answers
    assert ["tybalt@x.example"] == listed(juliet)


# Presence


def friends(server: Server) -> tuple[Phone, Phone]:
    """Juliet and Romeo, who see each other's presence."""
    juliet, romeo = server.account(), server.account()
    let_see(server, juliet, romeo, "both")
    let_see(server, romeo, juliet, "both")
    return online(server, juliet), online(server, romeo, "orchard")


def presence_of(phone: Phone, other: Phone) -> list[str]:
    """What came of another's presence until now: types, or what stands in the status."""
    phone.send(f"<iq type='get' id='fence' to='localhost'><ping xmlns='{ns.PING}'/></iq>")
    found = []
    while (element := phone.next()).get("id") != "fence":
        if element.tag == PRESENCE and (element.get("from") or "").startswith(other.account.jid):
            found.append(element.get("type") or element.findtext(stanza("status")) or "available")
    return found


def test_a_contact_sees_the_user_leave_and_come_back_with_the_block(server: Server) -> None:
    juliet, romeo = friends(server)
    tablet = online(server, juliet.account, "tablet")
    presence_of(romeo, juliet)

    block(juliet, romeo.account.jid)
    left = presence_of(romeo, juliet)
    tablet.send("<presence><status>secret</status></presence>")
    tablet.round_trip()
    while_blocked = presence_of(romeo, juliet)
    unblock(juliet, romeo.account.jid)
    back = presence_of(romeo, juliet)

    # a sweeper that comes at the same moment may tell it a second time
    assert {"unavailable"} == set(left) and 2 <= len(left)
    assert [] == while_blocked
    assert {"available", "secret"} == set(back)


def test_the_user_sees_a_contact_again_after_a_block(server: Server) -> None:
    juliet, romeo = friends(server)
    presence_of(juliet, romeo)
    block(juliet, romeo.account.jid)

    romeo.send("<presence><status>news</status></presence>")
    romeo.round_trip()
    while_blocked = presence_of(juliet, romeo)
    unblock(juliet)
    romeo.round_trip()

    assert ([], {"news"}) == (while_blocked, set(presence_of(juliet, romeo)))


def test_a_contact_who_comes_while_he_is_blocked_sees_nobody(server: Server) -> None:
    juliet, romeo = friends(server)
    block(juliet, romeo.account.jid)

    garden = online(server, romeo.account, "garden")
    garden.send(f"<presence to='{juliet.account.jid}' type='probe'/>")
    everything(garden)

    assert [] == presence_of(garden, juliet)
    assert [] == presence_of(juliet, garden)


def test_somebody_who_sees_nothing_of_the_user_hears_nothing_of_the_block(server: Server) -> None:
    juliet, romeo = pair(server)

    block(juliet, romeo.account.jid)
    unblock(juliet, romeo.account.jid)

    assert [] == presence_of(romeo, juliet)


def test_who_got_directed_presence_sees_it_end_with_the_block(server: Server) -> None:
    juliet, romeo = pair(server)
    tablet = online(server, juliet.account, "tablet")
    juliet.send(f"<presence to='{romeo.jid}'/>")
    juliet.round_trip()
    assert ["available"] == presence_of(romeo, juliet)

    block(tablet, romeo.account.jid)

    assert {"unavailable"} == set(presence_of(romeo, juliet))


@pytest.mark.parametrize("type_", ["subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"])
def test_subscriptions_and_probes_do_not_pass_a_block(server: Server, type_: str) -> None:
    juliet, romeo = pair(server)
    block(juliet, romeo.account.jid)

    romeo.send(f"<presence to='{juliet.account.jid}' type='{type_}' id='s'/>")
    answered = [each for each in everything(romeo) if each.get("id") == "s"]
    reached = everything(juliet)
    juliet.send(f"<presence to='{romeo.account.jid}' type='{type_}' id='s'/>")
    back = [each for each in everything(juliet) if each.get("id") == "s"]

    assert ([], []) == (answered, reached)
    assert [("cancel", "not-acceptable")] == [error_of(each) for each in back]
    assert [] == [each for each in everything(romeo) if each.tag == PRESENCE]


def test_the_sweeper_tells_what_a_killed_gateway_did_not(server: Server) -> None:
    juliet, romeo = friends(server)
    presence_of(romeo, juliet)
    with store_of(server) as store:
        at = keys.prefix(juliet.account.jid)
        store.sadd(keys.key(at, "blocked", juliet.account.jid), romeo.account.jid)
        fields = {"do": "visibility", "user": juliet.account.jid, "contact": romeo.account.jid, "sid": ""}
        store.xadd(keys.key(at, "outbox"), fields)

    assert "unavailable" == romeo.next(20).get("type")


def test_a_block_is_kept_when_the_gateway_is_killed_and_its_pushes_go_on_after_a_resumption(server: Server) -> None:
    juliet_account, romeo_account = server.account(), server.account()
    juliet = online(server, juliet_account)
    block(juliet, romeo_account.jid)
    listed(juliet)
    server.kill("gateway")
    server.wait_accepting()

    romeo = online(server, romeo_account)
    romeo.message(juliet_account.jid, "hello", "m")
    refusal = romeo.skip_to(MESSAGE, PRESENCE)
    back = Phone(server, juliet_account)
    resumed = back.resume(juliet.session_id, juliet.inbound)
    back.jid = juliet.jid
    block(online(server, juliet_account, "tablet"), "paris@x.example")

    assert ("cancel", "service-unavailable") == error_of(refusal)
    assert sm("resumed") == resumed.tag
    assert ["paris@x.example"] == pushed(back, "block")
