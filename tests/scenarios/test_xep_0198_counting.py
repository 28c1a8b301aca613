"""XEP-0198, sections 3 and 4: where counting starts, what counts, and which h is none."""

import pytest

from gateway.demo.stream import condition_of
from gateway.xmpp import ns
from tests.support.phone import Phone, a_message, failed_condition, online, sm, stanza
from tests.support.processes import Server


def test_stanzas_sent_right_behind_enable_count_before_enabled_came(server: Server) -> None:
    romeo, juliet = server.account(), online(server, server.account())
    phone = Phone(server, romeo).bind()

    phone.send(
        f"<enable xmlns='{ns.SM}' resume='true'/>"
        f"{a_message(juliet.account.jid, 'one')}{a_message(juliet.account.jid, 'two')}<r xmlns='{ns.SM}'/>"
    )
    enabled, answer = phone.enabled(), phone.next()

    assert sm("enabled") == enabled.tag
    assert ("2", sm("a")) == (answer.get("h"), answer.tag)
    assert ["one", "two"] == juliet.bodies(2)


def test_stanzas_sent_before_enable_do_not_count(server: Server) -> None:
    phone = Phone(server, server.account()).bind().available()

    phone.enable()

    assert 0 == phone.handled()
    phone.round_trip()
    assert 1 == phone.handled()


def test_what_the_server_sent_before_enabled_does_not_count(server: Server) -> None:
    phone = Phone(server, server.account()).bind().available()
    friend = online(server, server.account())
    friend.message(phone.jid, "before")
    before = phone.bodies(1)

    phone.enable()
    friend.message(phone.jid, "after")
    after = phone.bodies(1)
    phone.ack(1)
    phone.round_trip()
    phone.ack(3)
    error = phone.stream_error()

    assert (["before"], ["after"]) == (before, after)
    too_high = error.find(sm("handled-count-too-high"))
    assert too_high is not None and ("3", "2") == (too_high.get("h"), too_high.get("send-count"))


def test_every_stanza_counts_and_nothing_else(server: Server) -> None:
    phone = online(server, server.account())
    start = phone.handled()

    phone.send("<message to='nobody@localhost' type='chat'><body>x</body></message>")
    phone.send("<iq type='get' id='q1' to='localhost'><query xmlns='urn:example:unknown'/></iq>")
    phone.send("<presence><status>here</status></presence>")
    phone.send(f" \n <r xmlns='{ns.SM}'/> ")
    answer = phone.skip_to(sm("a"), stanza("iq"), stanza("message"), stanza("presence"))

    assert str(start + 3) == answer.get("h")


def test_refused_stanzas_count_on_both_sides(server: Server) -> None:
    phone = online(server, server.account())
    start = phone.handled()

    phone.send("<iq type='get' id='q1' to='localhost'><query xmlns='urn:example:unknown'/></iq>")
    answer = phone.skip_to(stanza("iq"), stanza("presence"))

    assert ("q1", "error") == (answer.get("id"), answer.get("type"))
    assert start + 1 == phone.handled()
    phone.ack()
    phone.round_trip()


def test_an_unasked_ack_is_fine_and_so_is_the_same_again(server: Server) -> None:
    phone = online(server, server.account())

    phone.ack()
    phone.ack()
    phone.round_trip()
    phone.ack()

    assert phone.handled() > 0


def test_an_ack_for_more_than_was_sent_ends_the_stream_and_says_both_counts(server: Server) -> None:
    phone = online(server, server.account())
    sent = phone.inbound

    phone.ack(sent + 1)
    error = phone.stream_error()

    assert "undefined-condition" == condition_of(error)
    too_high = error.find(sm("handled-count-too-high"))
    assert too_high is not None
    assert (str(sent + 1), str(sent)) == (too_high.get("h"), too_high.get("send-count"))
    assert phone.is_over()


def test_the_session_can_be_resumed_after_an_ack_that_was_too_high(server: Server) -> None:
    phone = online(server, server.account())
    handled, inbound = phone.handled(), phone.inbound
    phone.ack(inbound + 100)
    phone.is_over()

    again = Phone(server, phone.account)
    resumed = again.resume(phone.session_id, inbound)

    assert (sm("resumed"), str(handled)) == (resumed.tag, resumed.get("h"))


def test_an_ack_lower_than_the_last_one_is_an_error_not_a_resend(server: Server) -> None:
    phone = online(server, server.account())
    phone.round_trip()
    phone.ack()
    phone.round_trip()

    phone.ack(phone.inbound - 2)
    error = phone.stream_error()

    assert error.find(sm("handled-count-too-high")) is not None


@pytest.mark.parametrize("h", ["", "-1", "x", "1.0", "4294967296", " 1", "٣"])
def test_an_ack_that_is_no_number_ends_the_stream(server: Server, h: str) -> None:
    phone = online(server, server.account())

    phone.send(f"<a xmlns='{ns.SM}' h='{h}'/>")
    phone.stream_error()

    assert phone.is_over()


def test_an_ack_without_h_ends_the_stream(server: Server) -> None:
    phone = online(server, server.account())

    phone.send(f"<a xmlns='{ns.SM}'/>")
    phone.stream_error()

    assert phone.is_over()


def test_a_second_enable_fails_and_the_stream_goes_on(server: Server) -> None:
    phone = online(server, server.account())
    start = phone.handled()

    phone.send(f"<enable xmlns='{ns.SM}' resume='true'/>")
    failed = phone.next()

    assert "unexpected-request" == failed_condition(failed)
    phone.round_trip()
    assert start + 1 == phone.handled()


def test_enable_before_bind_fails_and_bind_still_works(server: Server) -> None:
    phone = Phone(server, server.account())

    failed = phone.enable()

    assert "unexpected-request" == failed_condition(failed)
    assert phone.bind().jid.startswith(phone.account.jid)
    assert sm("enabled") == phone.enable().tag


def test_r_is_answered_behind_everything_sent_before_it(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())
    start = romeo.handled()
    bodies = [f"number {number}" for number in range(50)]

    text = "".join(a_message(juliet.jid, body) for body in bodies)
    romeo.send(f"{text}<r xmlns='{ns.SM}'/>")
    answer = romeo.skip_to(sm("a"), stanza("presence"))

    assert str(start + 50) == answer.get("h")
    assert bodies == juliet.bodies(50)


def test_the_server_asks_for_acknowledgements(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())
    asked = juliet.requests

    romeo.message(juliet.jid, "did you get this?")
    juliet.bodies(1)
    while juliet.requests == asked:
        element = juliet.stream.receive()
        juliet.requests += element.tag == sm("r")

    assert asked + 1 == juliet.requests


def test_enabled_has_an_id_that_is_never_the_same(server: Server) -> None:
    account = server.account()
    phones = [Phone(server, account).bind(f"r{number}") for number in range(5)]

    answers = [phone.enable() for phone in phones]

    assert 5 == len({answer.get("id") for answer in answers})
    assert all(0 < len(answer.get("id", "").encode()) <= 4000 for answer in answers)
    assert {"true"} == {answer.get("resume") for answer in answers}


def test_resume_written_as_1_is_true_as_well(server: Server) -> None:
    phone = Phone(server, server.account()).bind()

    enabled = phone.enable("resume='1'")

    assert ("true", True) == (enabled.get("resume"), bool(enabled.get("id")))


def test_enable_without_resumption_has_acks_but_no_id(server: Server) -> None:
    phone = Phone(server, server.account()).bind()

    enabled = phone.enable("")

    assert sm("enabled") == enabled.tag
    assert (None, False) == (enabled.get("id"), enabled.get("resume") in ("true", "1"))
    phone.round_trip()
    assert 1 == phone.handled()
