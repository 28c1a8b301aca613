"""RFC 6121 section 4 at the mailbox: broadcasts, probes, directed presence, ends; and sessions that fade asleep."""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from gateway.mailbox.entry import Entry
from gateway.mailbox.presences import PIECE_BYTES, addressed
from tests.mailbox.people import JULIET, NURSE, ROMEO, People
from tests.mailbox.world import Client, World
from workers.sweeper.broadcasts import Broadcasts, away


@pytest.fixture
def people(world: World) -> People:
    people = People(world)
    people.befriend(JULIET, ROMEO)
    return people


@pytest.fixture
def broadcasts(people: People) -> Broadcasts:
    return Broadcasts(people.world.mailbox, people.world.sweep)


def presences(client: Client) -> list[bytes]:
    return [entry.stanza for entry in client.read() if entry.kind == "p"]


def from_(user: str, to: str, inner: str = "", *, resource: str = "phone", type_: str = "") -> bytes:
    """A presence as it is delivered."""
    if type_:
        return f"<presence to='{to}' from='{user}/{resource}' type='{type_}'/>".encode()
    return f"<presence to='{to}' from='{user}/{resource}'>{inner}</presence>".encode()


def sweep(people: People, broadcasts: Broadcasts, user: str) -> None:
    """What the sweeper does about the outbox of a user's bucket."""
    bucket = keys.bucket_of(user)
    for entry, fields in people.world.sweep.outbox(bucket):
        broadcasts.carry(bucket, entry, fields)


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


# Sessions asleep


def asleep(people: People, *, fade_to: str = "away", inner: str = "", priority: int | None = 0) -> Client:
    juliet = people.world.bind(user=JULIET)
    juliet.enable()
    people.say(juliet, priority, inner, fade_ms=0, fade_to=fade_to)
    juliet.ack_all()
    juliet.hibernate()
    return juliet


def fade(people: People, broadcasts: Broadcasts) -> None:
    for sid in people.world.sweep.chores(people.world.bucket).fading:
        broadcasts.fade(people.world.bucket, sid)
    sweep(people, broadcasts, JULIET)


def test_a_session_asleep_is_available_until_its_time_is_over(people: People) -> None:
    juliet = people.available(JULIET)
    juliet.hibernate()

    assert () == people.world.sweep.chores(people.world.bucket).fading


def test_a_session_that_sleeps_for_long_is_seen_as_away_with_its_own_words(
    people: People, broadcasts: Broadcasts
) -> None:
    romeo, tablet = people.available(ROMEO), people.available(JULIET, "tablet")
    asleep(people, inner="<show>chat</show><status>busy &amp; happy</status>")
    romeo.ack_all()
    tablet.ack_all()
    fade(people, broadcasts)
    (seen,), (own,) = presences(romeo), presences(tablet)
    newcomer = people.world.bind(user=ROMEO, resource="late")
    people.say(newcomer)

    assert seen.startswith(b"<presence to='montague@localhost' from='juliet@localhost/phone'><show>away</show>")
    assert b"<status>busy &amp; happy</status><idle xmlns='urn:xmpp:idle:1' since='" in seen
    assert own == seen.replace(b"to='montague", b"to='juliet")
    assert seen in presences(newcomer)


def test_a_session_that_sleeps_for_long_may_be_seen_as_unavailable(people: People, broadcasts: Broadcasts) -> None:
    romeo = people.available(ROMEO)
    juliet = asleep(people, fade_to="unavailable")
    romeo.ack_all()
    fade(people, broadcasts)
    newcomer = people.world.bind(user=ROMEO, resource="late")
    people.say(newcomer)

    assert [from_(JULIET, ROMEO, type_="unavailable")] == [p for p in presences(romeo) if b"/late" not in p]
    assert not [p for p in presences(newcomer) if b"juliet" in p]
    assert "asleep" == juliet.marks()["state"]


def test_what_is_seen_changes_nothing_about_where_messages_go(people: People, broadcasts: Broadcasts) -> None:
    juliet = asleep(people, fade_to="unavailable")
    fade(people, broadcasts)

    people.world.deliver(b"<message/>", user=JULIET)

    assert "1" == str(int(juliet.marks()["tail"]) - int(juliet.marks()["acked"]))


@pytest.mark.parametrize("fade_to", ["away", "unavailable"])
def test_a_session_that_is_back_is_seen_as_it_says(people: People, broadcasts: Broadcasts, fade_to: str) -> None:
    romeo = people.available(ROMEO)
    juliet = asleep(people, fade_to=fade_to, inner="<show>chat</show>")
    fade(people, broadcasts)
    romeo.ack_all()
    juliet.resume(int(juliet.marks()["acked"]))
    sweep(people, broadcasts, JULIET)

    assert [from_(JULIET, ROMEO, "<show>chat</show>")] == presences(romeo)
    assert () == people.world.sweep.chores(people.world.bucket).fading


def test_a_session_that_came_back_in_between_does_not_fade(people: People) -> None:
    juliet = asleep(people)
    sweep_ = people.world.sweep
    seen = sweep_.fade(people.world.bucket, juliet.sid)
    juliet.resume(int(juliet.marks()["acked"]))

    assert seen is not None
    assert not sweep_.faded(people.world.bucket, juliet.sid, seen.epoch, b"unavailable")


def test_a_session_without_presence_has_nothing_to_fade(people: People) -> None:
    asleep(people, priority=None)

    assert () == people.world.sweep.chores(people.world.bucket).fading


AWAY = b"<show>away</show>%b<idle xmlns='urn:xmpp:idle:1' since='1970-01-01T00:00:01.000Z'/></presence>"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"<presence/>", b""),
        (b"<presence><show>dnd</show><priority>5</priority></presence>", b"<priority>5</priority>"),
        (b"<presence><idle xmlns='urn:xmpp:idle:1' since='x'/></presence>", b""),
        (b"<presence><show xmlns='urn:x'>a</show></presence>", b"<show xmlns='urn:x'>a</show>"),
        (b"<presence><a:c xmlns:a='urn:a' v='1'/></presence>", b"<a:c xmlns:a='urn:a' v='1'/>"),
        (b"<presence xmlns:a='urn:a'><a:c/></presence>", b"<a:c xmlns:a='urn:a'/>"),
    ],
)
def test_away_keeps_what_else_was_said(said: bytes, kept: bytes) -> None:
    assert b"<presence>" + AWAY % kept == away(said, 1000)


def test_what_cannot_be_read_is_unavailable() -> None:
    assert b"unavailable" == away(b"<presence><broken></presence>", 0)


def test_answers_of_a_crowd_come_in_pieces(people: People) -> None:
    juliet = people.world.bind(user=JULIET)
    answers: list[bytes | str] = []
    for n in range(700):
        answers.extend(("p", f"u{n}@localhost/x", b"<presence n='%d'/>" % n))
    people.presences.receive(juliet.grip, answers)
    people.quiet()
    found: list[Entry] = juliet.read()

    assert [b"<presence n='%d'/>" % n for n in range(700)] == [entry.stanza for entry in found]
