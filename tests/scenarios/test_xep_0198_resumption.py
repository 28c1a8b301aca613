"""XEP-0198, section 5: who may resume, what comes again, and what happens to the stream that was."""

from contextlib import suppress
from xml.etree.ElementTree import Element

import gevent
import pytest

from gateway.demo.stream import STREAM_ERROR, ServerSilent, StreamEnded, condition_of
from gateway.xmpp import ns
from tests.scenarios.conftest import MOST_HIBERNATION_S
from tests.support.phone import Phone, a_message, failed_condition, online, sm, stanza
from tests.support.processes import Server


def test_what_was_not_acknowledged_comes_again_in_order_and_nothing_else(server: Server) -> None:
    romeo, juliet = online(server, server.account()), online(server, server.account())
    for number in range(6):
        romeo.message(juliet.jid, str(number))
    juliet.bodies(6)
    seen = juliet.inbound - 4
    juliet.cut()
    for number in range(6, 9):
        romeo.message(juliet.jid, str(number))
    romeo.round_trip()

    again = Phone(server, juliet.account)
    resumed = again.resume(juliet.session_id, seen)

    assert (sm("resumed"), juliet.session_id) == (resumed.tag, resumed.get("previd"))
    assert ["2", "3", "4", "5", "6", "7", "8"] == again.bodies(7)
    again.ack()
    romeo.message(juliet.jid, "live")
    assert ["live"] == again.bodies(1)


def test_resumed_tells_what_the_server_handled_and_counting_goes_on(server: Server) -> None:
    romeo, juliet = online(server, server.account()), online(server, server.account())
    romeo.message(juliet.jid, "one")
    handled = romeo.handled()
    romeo.message(juliet.jid, "two")
    juliet.bodies(2)
    romeo.cut()

    again = Phone(server, romeo.account)
    resumed = again.resume(romeo.session_id, romeo.inbound)
    again.message(juliet.jid, "three")

    assert str(handled + 1) == resumed.get("h")
    assert ["three"] == juliet.bodies(1)
    assert handled + 2 == again.handled()


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "fin"])
def test_a_link_that_ends_without_end_of_stream_does_not_end_the_session(server: Server, reset: bool) -> None:
    romeo, juliet = online(server, server.account()), online(server, server.account())
    juliet.stream.cut(reset=reset)
    romeo.message(juliet.jid, "are you there?")
    romeo.round_trip()

    again = Phone(server, juliet.account)
    resumed = again.resume(juliet.session_id, juliet.inbound)

    assert sm("resumed") == resumed.tag
    assert ["are you there?"] == again.bodies(1)


def test_end_of_stream_ends_the_session_and_what_was_unacknowledged_is_stored(server: Server) -> None:
    romeo, juliet = online(server, server.account()), online(server, server.account())
    romeo.message(juliet.jid, "unacknowledged")
    juliet.bodies(1)
    handled = juliet.handled()
    juliet.stream.end()
    juliet.is_over()

    again = Phone(server, juliet.account)
    failed = again.resume(juliet.session_id, juliet.inbound)
    again.bind("other")
    again.enable()
    again.send("<presence/>")

    assert ("item-not-found", str(handled)) == (failed_condition(failed), failed.get("h"))
    assert ["unacknowledged"] == again.bodies(1)


def test_the_last_ack_comes_before_the_end_of_the_stream(server: Server) -> None:
    romeo, juliet = online(server, server.account()), online(server, server.account())
    handled = romeo.handled()

    romeo.send(f"{a_message(juliet.jid, 'last words')}</stream:stream>")
    last = romeo.skip_to(sm("a"), stanza("presence"))

    assert str(handled + 1) == last.get("h")
    assert romeo.is_over()
    assert ["last words"] == juliet.bodies(1)


def test_the_last_ack_comes_before_a_stream_error(server: Server) -> None:
    romeo, juliet = online(server, server.account()), online(server, server.account())
    handled = romeo.handled()

    romeo.send(f"{a_message(juliet.jid, 'last words')}<this-is-no-stanza xmlns='jabber:client'/>")
    last = romeo.skip_to(sm("a"), stanza("presence"))

    assert str(handled + 1) == last.get("h")
    assert "unsupported-stanza-type" == condition_of(romeo.stream_error())


def test_an_unknown_session_cannot_be_resumed_and_the_stream_may_bind(server: Server) -> None:
    phone = Phone(server, server.account())

    failed = phone.resume("no-such-session", 0)

    assert ("item-not-found", None) == (failed_condition(failed), failed.get("h"))
    phone.bind()
    assert sm("enabled") == phone.enable().tag


def test_nobody_resumes_the_session_of_another_account(server: Server) -> None:
    juliet, tybalt = online(server, server.account()), Phone(server, server.account())
    juliet.cut()

    failed = tybalt.resume(juliet.session_id, juliet.inbound)
    resumed = Phone(server, juliet.account).resume(juliet.session_id, juliet.inbound)

    assert ("item-not-found", None) == (failed_condition(failed), failed.get("h"))
    assert sm("resumed") == resumed.tag


def test_resume_after_bind_fails_and_the_stream_goes_on(server: Server) -> None:
    asleep = online(server, server.account())
    asleep.cut()
    phone = Phone(server, asleep.account).bind("other")

    failed = phone.resume(asleep.session_id, asleep.inbound)

    assert "unexpected-request" == failed_condition(failed)
    phone.round_trip()


def test_a_resume_with_an_h_too_high_does_not_cost_the_session(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())
    juliet.cut()
    romeo.message(juliet.jid, "kept")
    romeo.round_trip()

    wrong = Phone(server, juliet.account)
    wrong.send(f"<resume xmlns='{ns.SM}' previd='{juliet.session_id}' h='{juliet.inbound + 2}'/>")
    answer = wrong.next()
    again = Phone(server, juliet.account)
    resumed = again.resume(juliet.session_id, juliet.inbound)

    assert answer.tag in (STREAM_ERROR, sm("failed"))
    if answer.tag == STREAM_ERROR:
        assert answer.find(sm("handled-count-too-high")) is not None
    assert sm("resumed") == resumed.tag
    assert ["kept"] == again.bodies(1)


def test_a_resume_below_what_was_acknowledged_resends_nothing(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())
    for body in ("one", "two"):
        romeo.message(juliet.jid, body)
    juliet.bodies(2)
    juliet.ack()
    juliet.round_trip()
    juliet.cut()

    again = Phone(server, juliet.account)
    again.send(f"<resume xmlns='{ns.SM}' previd='{juliet.session_id}' h='{juliet.inbound - 3}'/>")

    assert again.next().tag in (STREAM_ERROR, sm("failed"))


@pytest.mark.parametrize("attributes", ["h='0'", "previd='x'", "previd='x' h='-1'", "previd='' h=''", ""])
def test_a_resume_without_sense_gets_an_answer(server: Server, attributes: str) -> None:
    phone = Phone(server, server.account())

    phone.send(f"<resume xmlns='{ns.SM}' {attributes}/>")

    assert phone.next().tag in (STREAM_ERROR, sm("failed"))


def test_resuming_a_session_that_is_still_linked_ends_the_old_stream_with_conflict(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())

    again = Phone(server, juliet.account)
    resumed = again.resume(juliet.session_id, juliet.inbound)
    error = juliet.stream_error()
    romeo.message(juliet.jid, "to the new one")

    assert sm("resumed") == resumed.tag
    assert "conflict" == condition_of(error)
    assert juliet.is_over()
    assert ["to the new one"] == again.bodies(1)


def test_what_the_old_stream_still_sends_after_a_takeover_is_not_taken(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())

    again = Phone(server, romeo.account)
    again.resume(romeo.session_id, romeo.inbound)
    with suppress(StreamEnded):
        romeo.message(juliet.jid, "late")
        romeo.is_over()
    again.message(juliet.jid, "new")

    assert ["new"] == juliet.bodies(1)


def test_of_several_resumes_at_once_one_stream_has_the_session_in_the_end(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())
    juliet.cut()
    romeo.message(juliet.jid, "for one of you")
    romeo.round_trip()
    phones = [Phone(server, juliet.account) for _ in range(6)]

    answers = [gevent.spawn(phone.resume, juliet.session_id, juliet.inbound) for phone in phones]
    gevent.joinall(answers, timeout=20, raise_error=True)
    resumed = [phone for phone, answer in zip(phones, answers, strict=True) if answer.value.tag == sm("resumed")]
    refused = [answer.value for answer in answers if answer.value.tag != sm("resumed")]
    alive = [phone for phone in resumed if not _ends_by_conflict(phone)]

    assert {STREAM_ERROR} >= {answer.tag for answer in refused}  # <failed/> would have them forget the session
    assert {"internal-server-error"} >= {condition_of(error) for error in refused}
    assert 1 == len(alive)
    romeo.message(juliet.jid, "and one more")
    assert "and one more" == alive[0].bodies(1)[0]


def _ends_by_conflict(phone: Phone) -> bool:
    """Reads what came with the resumption; whoever lost the session to another sees `conflict`."""
    try:
        while True:
            element = phone.next(timeout_s=1.5)
            if element.tag == STREAM_ERROR:
                assert "conflict" == condition_of(element)

                return True
    except ServerSilent:
        return False
    except StreamEnded:
        return True


def test_a_session_that_was_resumed_twice_keeps_its_counts(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())
    received = []
    phone = juliet
    for number in range(5):
        romeo.message(juliet.jid, str(number))
        received += phone.bodies(1)
        inbound = phone.inbound
        phone.cut()
        phone = Phone(server, juliet.account)
        assert sm("resumed") == phone.resume(juliet.session_id, inbound).tag

    assert ["0", "1", "2", "3", "4"] == received
    phone.ack()
    phone.round_trip()


def test_binding_the_resource_of_a_sleeping_session_moves_its_queue(server: Server) -> None:
    juliet, romeo = online(server, server.account(), "phone"), online(server, server.account())
    romeo.message(juliet.jid, "seen but not acknowledged")
    juliet.bodies(1)
    juliet.cut()
    romeo.message(juliet.jid, "not seen")
    romeo.round_trip()

    again = Phone(server, juliet.account).bind("phone")
    again.enable()
    again.send("<presence/>")
    bodies = again.bodies(2)
    failed = Phone(server, juliet.account).resume(juliet.session_id, juliet.inbound)

    assert ["seen but not acknowledged", "not seen"] == bodies
    assert "item-not-found" == failed_condition(failed)
    assert failed.get("h") is not None


def test_binding_the_resource_of_a_live_session_ends_it_with_conflict(server: Server) -> None:
    juliet = online(server, server.account(), "phone")

    again = Phone(server, juliet.account).bind("phone")
    error = juliet.stream_error()

    assert juliet.jid == again.jid
    assert "conflict" == condition_of(error)


def test_a_client_may_wish_how_long_it_can_be_resumed(server: Server) -> None:
    phone = Phone(server, server.account()).bind()

    enabled = phone.enable("resume='true' max='60'")

    assert "60" == enabled.get("max")


def test_the_wish_is_cut_to_the_ceiling(server: Server) -> None:
    phone = Phone(server, server.account()).bind()

    enabled = phone.enable(f"resume='true' max='{MOST_HIBERNATION_S * 10}'")

    assert str(MOST_HIBERNATION_S) == enabled.get("max")


def test_an_expired_session_fails_with_its_last_h_and_its_messages_come_offline(server: Server) -> None:
    account, romeo = server.account(), online(server, server.account())
    juliet = online(server, account, enable="resume='true' max='1'")
    handled = juliet.handled()
    juliet.cut()
    romeo.message(account.jid, "while asleep")
    romeo.round_trip()

    failed = _resume_when_expired(server, juliet)
    later = Phone(server, account).bind("other")
    later.enable()
    later.send("<presence/>")
    message = later.skip_to(stanza("message"), stanza("presence"))

    assert ("item-not-found", str(handled)) == (failed_condition(failed), failed.get("h"))
    assert "while asleep" == message.findtext(stanza("body"))
    assert 1 == len(message.findall(f"{{{ns.DELAY}}}delay"))


def _resume_when_expired(server: Server, phone: Phone) -> Element:
    server.wait(
        lambda: phone.session_id not in server.command("user", "sessions", phone.account.jid, "--json"), "expiry"
    )
    return Phone(server, phone.account).resume(phone.session_id, phone.inbound)


def test_expiry_and_resume_at_the_same_moment_are_one_or_the_other(server: Server) -> None:
    romeo = online(server, server.account())
    for offset in (0.9, 1.0, 1.05, 1.1, 1.2, 1.4):
        juliet = online(server, server.account(), enable="resume='true' max='1'")
        juliet.cut()
        romeo.message(juliet.account.jid, "once")
        romeo.round_trip()
        again = Phone(server, juliet.account)
        gevent.sleep(offset)

        answer = again.resume(juliet.session_id, juliet.inbound)
        if answer.tag == sm("failed"):
            again.bind("other")
            again.enable()
            again.send("<presence/>")

        assert ["once"] == again.bodies(1)
        again.ack()
        again.round_trip()
        again.cut()


def test_without_resumption_a_lost_link_ends_the_session_and_loses_nothing(server: Server) -> None:
    juliet, romeo = online(server, server.account(), enable=""), online(server, server.account())
    romeo.message(juliet.jid, "unacknowledged")
    juliet.bodies(1)
    juliet.cut()

    again = Phone(server, juliet.account).bind("other")
    again.send("<presence/>")

    assert ["unacknowledged"] == again.bodies(1)


def test_a_live_message_has_no_delay_stamp_and_a_late_one_has_one(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())
    romeo.message(juliet.jid, "live")
    live = juliet.skip_to(stanza("message"), stanza("presence"))
    juliet.ack()
    juliet.round_trip()
    juliet.cut()
    romeo.message(juliet.jid, "late")
    romeo.round_trip()
    gevent.sleep(1.1)  # so that the stamp, to the second, cannot be that of the resumption

    again = Phone(server, juliet.account)
    again.resume(juliet.session_id, juliet.inbound)
    late = again.skip_to(stanza("message"), stanza("presence"))

    assert 0 == len(live.findall(f"{{{ns.DELAY}}}delay"))
    assert 1 == len(late.findall(f"{{{ns.DELAY}}}delay"))
