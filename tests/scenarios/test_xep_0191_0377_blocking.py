"""XEP-0191 and XEP-0377 on the wire: the list, its pushes, and what either side of a block is told."""

import pytest

from gateway.mailbox.embedded import socket_path
from gateway.mailbox.journal import Journal
from gateway.mailbox.reports import Report, Reports
from gateway.xmpp import ns
from tests.scenarios.blocks import (
    IQ,
    MESSAGE,
    PRESENCE,
    ask,
    block,
    error_of,
    everything,
    items,
    listed,
    pair,
    pushed,
    unblock,
)
from tests.support.phone import Phone, online, stanza
from tests.support.processes import Server

BLOCKED = f"{{{ns.BLOCKING_ERRORS}}}blocked"


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
