"""What contacts see of a session that is asleep: available for a while, then away or gone."""

from __future__ import annotations

import pytest

from tests.mailbox.people import JULIET, ROMEO, People
from tests.mailbox.presence_told import friends, from_, presences, sweep, the_broadcasts
from tests.mailbox.world import Client, World
from workers.sweeper.broadcasts import Broadcasts, away


@pytest.fixture
def people(world: World) -> People:
    return friends(world)


@pytest.fixture
def broadcasts(people: People) -> Broadcasts:
    return the_broadcasts(people)


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
