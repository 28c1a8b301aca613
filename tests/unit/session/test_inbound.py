"""Stanzas reach their mailboxes in any order; what the client is told of them keeps the order in which it sent them."""

from typing import Any, cast

import gevent

from gateway.session.inbound import AckRequest, Arrival, Arrivals
from gateway.session.session import Session


class Recorder:
    """Stands for a session: notes what it is asked to tell."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.told: list[Any] = []
        self.kept = self.stored = 0

    def append(self, kind: str, stanza: bytes, *, inbound: int) -> None:
        self.told.append((kind, stanza, inbound))

    def acknowledge_inbound(self, count: int) -> None:
        self.told.append(count)

    def keep_inbound(self) -> None:
        self.kept = self.arrivals.finished

    def count_is_stored(self, count: int) -> None:
        self.stored = count

    def stanza(self, count: int) -> Arrival:
        arrival = Arrival(cast(Session, self), count)
        self.arrivals.add(arrival)
        return arrival

    def request(self, count: int) -> None:
        self.arrivals.add(AckRequest(cast(Session, self), count))
        self.arrivals.advance()


def test_answers_wait_for_everything_that_came_before() -> None:
    session = Recorder()
    first, second = session.stanza(1), session.stanza(2)

    second.reply("r", b"<second/>")
    before = list(session.told)
    first.reply("r", b"<first/>")

    assert [] == before
    assert [("r", b"<first/>", 1), ("r", b"<second/>", 2)] == session.told


def test_an_acknowledgement_covers_only_what_has_its_outcome() -> None:
    session = Recorder()
    first, second = session.stanza(1), session.stanza(2)
    session.request(2)

    second.settled()
    before = list(session.told)
    first.settled()

    assert ([], [2]) == (before, session.told)
    assert 2 == session.arrivals.finished


def test_a_stanza_has_one_outcome() -> None:
    session = Recorder()
    stanza = session.stanza(1)

    stanza.reply("r", b"<one/>")
    stanza.reply("r", b"<two/>")
    stanza.settled()

    assert [("r", b"<one/>", 1)] == session.told


def test_a_stanza_that_ends_the_stream_is_waited_for_by_nobody() -> None:
    session = Recorder()
    session.stanza(1).settled()
    bad = session.stanza(2)

    session.arrivals.take_back(bad)

    assert session.arrivals.wait_below(1, 0)
    assert 1 == session.arrivals.finished


def test_answers_on_their_way_to_the_store_hold_the_client_back() -> None:
    arrivals = Arrivals()
    for _ in range(3):
        arrivals.answer_submitted()

    too_many = arrivals.wait_below(3, 0)
    arrivals.answer_stored()

    assert (False, True) == (too_many, arrivals.wait_below(3, 0))


def test_several_greenlets_may_wait_and_one_that_gives_up_disturbs_no_other() -> None:
    session = Recorder()
    stanza = session.stanza(1)
    impatient = gevent.spawn(session.arrivals.wait_below, 1, 0.01)
    patient = [gevent.spawn(session.arrivals.wait_below, 1, 20) for _ in range(3)]

    gave_up = impatient.get(timeout=20)
    stanza.settled()

    assert gave_up is False
    assert [True] * 3 == [greenlet.get(timeout=20) for greenlet in patient]


def test_a_count_is_kept_when_everything_before_it_has_its_outcome() -> None:
    session = Recorder()
    first, second = session.stanza(1), session.stanza(2)

    second.kept()
    second.settled()
    before = (session.kept, session.stored)
    first.settled()

    assert (0, 0) == before
    assert (2, 2) == (session.kept, session.stored)
