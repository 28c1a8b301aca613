"""RFC 6121 section 4 at the mailbox: broadcasts, probes, directed presence, ends; and sessions that fade asleep."""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from gateway.mailbox.entry import Entry
from gateway.mailbox.presences import PIECE_BYTES, addressed
from tests.mailbox.people import JULIET, NURSE, ROMEO, People
from tests.mailbox.presence_told import friends, from_, presences, sweep, the_broadcasts
from tests.mailbox.world import World
from workers.sweeper.broadcasts import Broadcasts


@pytest.fixture
def people(world: World) -> People:
    return friends(world)


@pytest.fixture
def broadcasts(people: People) -> Broadcasts:
    return the_broadcasts(people)


def test_initial_presence_comes_back_to_the_resource_that_sent_it(people: People) -> None:
    phone = people.world.bind()
    people.say(phone, 5, "<status>here</status>")

    assert [from_(JULIET, JULIET, "<status>here</status>")] == presences(phone)


def test_presence_that_is_a_piece_by_itself_still_reaches_every_contact(people: People) -> None:
    people.befriend(JULIET, NURSE)
    contacts = [people.available(user) for user in (ROMEO, NURSE)]
    juliet = people.world.bind(user=JULIET)
    status = f"<status>{'x' * PIECE_BYTES}</status>"
    people.say(juliet, inner=status)
    people.quiet()

    assert [[from_(JULIET, ROMEO, status)], [from_(JULIET, NURSE, status)]] == [presences(each) for each in contacts]
    assert {from_(ROMEO, JULIET), from_(NURSE, JULIET)} < set(presences(juliet))


def test_initial_presence_goes_to_contacts_and_theirs_is_the_answer(people: People) -> None:
    romeo = people.available(ROMEO)
    juliet = people.world.bind(user=JULIET)
    people.say(juliet, inner="<show>chat</show>")

    assert [from_(JULIET, ROMEO, "<show>chat</show>")] == presences(romeo)
    assert from_(ROMEO, JULIET) in presences(juliet)


def test_later_presence_is_told_and_nothing_is_asked(people: People) -> None:
    romeo, juliet = people.available(ROMEO), people.available(JULIET)
    for client in (romeo, juliet):
        client.ack_all()
    people.say(juliet, inner="<show>dnd</show>")

    assert [from_(JULIET, ROMEO, "<show>dnd</show>")] == presences(romeo)
    assert [from_(JULIET, JULIET, "<show>dnd</show>")] == presences(juliet)


@pytest.mark.parametrize(
    ("subscription", "is_told", "is_answered"),
    [("none", False, False), ("to", False, True), ("from", True, False), ("both", True, True)],
)
def test_presence_goes_where_the_subscription_says(
    world: World, subscription: str, is_told: bool, is_answered: bool
) -> None:
    people = People(world)
    other = {"none": "none", "to": "from", "from": "to", "both": "both"}[subscription]
    romeo = people.available(ROMEO)
    people.put(JULIET, ROMEO, subscription)
    people.put(ROMEO, JULIET, other)
    juliet = people.world.bind(user=JULIET)
    people.say(juliet)

    assert is_told == (from_(JULIET, ROMEO) in presences(romeo))
    assert is_answered == (from_(ROMEO, JULIET) in presences(juliet))


def test_a_negative_priority_keeps_messages_away_and_not_presence(people: People) -> None:
    romeo = people.world.bind(user=ROMEO)
    people.say(romeo, -1)
    juliet = people.world.bind(user=JULIET)
    people.say(juliet, -1)

    assert from_(JULIET, ROMEO) in presences(romeo)
    assert from_(ROMEO, JULIET) in presences(juliet)


def test_unavailable_presence_goes_to_contacts_and_the_other_resources(people: People) -> None:
    romeo, phone, tablet = people.available(ROMEO), people.available(JULIET), people.available(JULIET, "tablet")
    romeo.ack_all()
    phone.ack_all()
    people.say(tablet, None, "<status>bye</status>")
    stanza = b"<presence to='%b' from='juliet@localhost/tablet' type='unavailable'><status>bye</status></presence>"

    assert [stanza % b"montague@localhost"] == presences(romeo)
    assert [stanza % b"juliet@localhost"] == presences(phone)


def test_presence_that_is_sent_again_after_a_lost_connection_is_told_to_contacts_again(people: People) -> None:
    juliet = people.world.bind(user=JULIET)
    arguments = (juliet.sid, 1, "0", 5000, 1000, "<presence/>", 10**6, 1000, "away")
    first, again = people.call(JULIET, "presence", *arguments), people.call(JULIET, "presence", *arguments)

    assert [b"montague@localhost", b"both"] == first[4] == again[4]
    assert first[1] == again[1]
    assert ([juliet.sid.encode(), b"n1", 1], []) == (first[3], again[3])


# Blocking: XEP-0191 section 5


def test_a_contact_that_the_user_blocks_gets_nothing_and_gives_nothing(people: People) -> None:
    people.world.redis.sadd(keys.key(people.world.at, "blocked", JULIET), ROMEO)
    romeo = people.available(ROMEO)
    juliet = people.world.bind(user=JULIET)
    people.say(juliet)

    assert [] == presences(romeo)
    assert [from_(JULIET, JULIET)] == presences(juliet)


def test_a_contact_that_blocks_the_user_gets_nothing_and_gives_nothing(people: People) -> None:
    people.world.redis.sadd(keys.key(keys.prefix(ROMEO), "blocked", ROMEO), JULIET)
    romeo = people.available(ROMEO)
    juliet = people.world.bind(user=JULIET)
    people.say(juliet)

    assert [] == presences(romeo)
    assert [from_(JULIET, JULIET)] == presences(juliet)
    assert "both" == people.state(JULIET, ROMEO)


# Probes: section 4.3


def test_a_subscription_that_the_contact_knows_nothing_of_ends(people: People) -> None:
    people.put(ROMEO, JULIET, "to")
    people.available(JULIET)
    people.quiet()

    assert "from" == people.state(JULIET, ROMEO)


def test_a_probe_tells_nobody_who_may_not_know(people: People) -> None:
    people.available(JULIET)

    answer = people.call(JULIET, "meet", JULIET, f"{NURSE}/x", NURSE, "", "1", "", "", 5000, 1000)

    assert [b"refused", [], [], []] == answer


# Directed presence: section 4.6


def test_who_got_directed_presence_is_told_of_the_end_once(people: People) -> None:
    nurse, juliet = people.available(NURSE), people.available(JULIET)
    people.presences.direct(juliet.grip, NURSE, is_available=True)
    first = people.say(juliet, None)
    second = people.say(juliet, None)

    assert ((NURSE,), ()) == (first.directed, second.directed)
    assert [addressed(b"<presence from='juliet@localhost/phone' type='unavailable'></presence>", NURSE)] == presences(
        nurse
    )


def test_directed_unavailable_presence_is_the_end(people: People) -> None:
    juliet = people.available(JULIET)
    people.presences.direct(juliet.grip, NURSE, is_available=True)
    people.presences.direct(juliet.grip, NURSE, is_available=False)

    assert () == people.say(juliet, None).directed


def test_a_subscriber_is_told_anyway(people: People) -> None:
    juliet = people.available(JULIET)
    people.presences.direct(juliet.grip, f"{ROMEO}/phone", is_available=True)

    assert () == people.say(juliet, None).directed


def test_a_thousand_are_remembered_and_not_more(people: People) -> None:
    juliet = people.available(JULIET)
    for n in range(1001):
        people.presences.direct(juliet.grip, f"u{n}@localhost", is_available=True)
    people.quiet()

    assert 1000 == people.world.redis.scard(keys.key(people.world.at, "directed", juliet.sid))


# The end of a session


def test_the_end_of_a_session_reaches_contacts_at_once(people: People) -> None:
    romeo, juliet = people.available(ROMEO), people.available(JULIET)
    romeo.ack_all()
    juliet.close()
    people.presences.farewells(JULIET)
    people.quiet()

    assert [from_(JULIET, ROMEO, type_="unavailable")] == presences(romeo)
    assert [] == people.outbox(JULIET)


@pytest.mark.parametrize("end", ["close", "expire", "reap", "remove", "replaced"])
def test_the_end_of_a_session_reaches_contacts_though_its_gateway_died(
    people: People, broadcasts: Broadcasts, end: str
) -> None:
    romeo, nurse, juliet = people.available(ROMEO), people.available(NURSE), people.available(JULIET)
    people.presences.direct(juliet.grip, f"{NURSE}/phone", is_available=True)
    people.quiet()
    romeo.ack_all()
    if end == "close":
        juliet.close()
    elif end == "expire":
        juliet.hibernate()
        juliet.expire()
    elif end == "reap":
        juliet.enable(is_resumable=False)
        people.world.sweep.reap(people.world.bucket, "n1")
    elif end == "remove":
        people.world.accounts.remove(JULIET)
    else:
        people.world.bind("phone", user=JULIET)
    for _ in range(2):
        sweep(people, broadcasts, JULIET)

    assert [from_(JULIET, ROMEO, type_="unavailable")] == [p for p in presences(romeo) if b"unavailable" in p]
    assert [from_(JULIET, f"{NURSE}/phone", type_="unavailable")] == presences(nurse)
    assert [] == people.outbox(JULIET)


def test_the_end_of_a_replaced_session_does_not_hide_the_one_that_came_after(
    people: People, broadcasts: Broadcasts
) -> None:
    romeo = people.available(ROMEO)
    people.available(JULIET)
    people.available(JULIET)  # the same resource
    romeo.ack_all()
    sweep(people, broadcasts, JULIET)

    assert [] == presences(romeo)
    assert [] == people.outbox(JULIET)


def test_a_session_that_was_never_available_leaves_without_a_word(people: People) -> None:
    people.world.bind(user=JULIET).close()

    assert [] == people.outbox(JULIET)


def test_answers_of_a_crowd_come_in_pieces(people: People) -> None:
    juliet = people.world.bind(user=JULIET)
    answers: list[bytes | str] = []
    for n in range(700):
        answers.extend(("p", f"u{n}@localhost/x", b"<presence n='%d'/>" % n))
    people.presences.receive(juliet.grip, answers)
    people.quiet()
    found: list[Entry] = juliet.read()

    assert [b"<presence n='%d'/>" % n for n in range(700)] == [entry.stanza for entry in found]
