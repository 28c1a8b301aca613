"""A session's queue is full: what comes next waits in offline storage, in order, and comes back as acks make room."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

import pytest

from gateway.demo.stream import condition_of
from tests.store.conftest import House
from tests.support.phone import Phone, sm, stanza

QUEUE, QUOTA = 20, 30
"""stanzas in a session's queue; messages of an account in offline storage"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """As `house`, with little room for each."""
    built = House(
        tmp_path_factory.mktemp("small"),
        smacks={"smacks_max_queue_size": QUEUE},
        offline={"access_max_user_messages": QUOTA},
    )
    yield built
    built.close()


def say(phone: Phone, to: str, first: int, last: int) -> list[Element]:
    """Messages with numbers; the errors that come back are answered. The sender reads and acknowledges."""
    for number in range(first, last):
        phone.message(to, str(number), str(number))
    phone.send("<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    errors: list[Element] = []
    while (element := phone.next()).get("id") != "end":
        if element.tag == stanza("message"):
            errors.append(element)
        if phone.inbound % 10 == 0:
            phone.ack()
    phone.ack()
    return errors


def test_what_does_not_fit_comes_back_in_order_as_acks_make_room_over_a_resumption_too(small: House) -> None:
    romeo, juliet = small.phone(), small.phone()
    juliet.ack()

    refused = say(romeo, juliet.account.jid, 0, QUEUE + QUOTA)
    came = juliet.bodies(QUEUE)  # and no more, before an ack
    while len(came) < 35:
        juliet.ack(juliet.inbound - QUEUE + 5)
        came += juliet.bodies(5)
    read = juliet.inbound
    juliet.cut()
    again = Phone(small, juliet.account)
    resumed = again.resume(juliet.session_id, read - 10)
    late = again.bodies(QUEUE)
    again.ack()
    late += again.bodies(5)

    assert [] == refused
    assert [str(number) for number in range(35)] == came
    assert sm("resumed") == resumed.tag
    assert [str(number) for number in range(25, QUEUE + QUOTA)] == late


def test_beyond_the_offline_quota_senders_hear_of_it_and_nothing_that_was_taken_is_lost(small: House) -> None:
    romeo, juliet = small.phone(), small.phone()
    juliet.ack()

    refused = say(romeo, juliet.account.jid, 0, QUEUE + QUOTA + 10)
    juliet.cut()
    again = Phone(small, juliet.account)
    again.resume(juliet.session_id, juliet.inbound)
    came: list[str] = []
    while len(came) < QUEUE + QUOTA:
        came += again.bodies(5)
        again.ack()
    refused += say(romeo, juliet.account.jid, 90, 91)

    assert [str(number) for number in range(QUEUE + QUOTA, QUEUE + QUOTA + 10)] == [one.get("id") for one in refused]
    assert {"service-unavailable"} == {condition_of(error) for one in refused for error in one.iter(stanza("error"))}
    assert [str(number) for number in range(QUEUE + QUOTA)] == came
    assert ["90"] == again.bodies(1)


def test_who_sends_to_a_full_mailbox_and_reads_nothing_is_cut_off_and_may_resume(small: House) -> None:
    """The errors for its messages would fill memory; its own queue is as bounded as any."""
    romeo, juliet = small.phone(), small.phone()
    for number in range(2 * (QUEUE + QUOTA)):
        romeo.message(juliet.account.jid, str(number), str(number))
    condition = condition_of(romeo.stream_error())
    again = Phone(small, romeo.account)

    assert "resource-constraint" == condition
    assert sm("resumed") == again.resume(romeo.session_id, romeo.inbound).tag
