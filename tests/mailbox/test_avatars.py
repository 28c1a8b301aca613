"""What sessions tell of an avatar, at the mailbox: once, and of what is true now."""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from gateway.mailbox.avatars import Avatars, Telling
from tests.mailbox.people import JULIET, ROMEO, People
from tests.mailbox.world import World
from workers.sweeper.broadcasts import Broadcasts

TOLD = f"<presence from='{JULIET}/phone'></presence>".encode()
NEW = f"<presence from='{JULIET}/phone'><x/></presence>".encode()
FADED = f"<presence from='{JULIET}/phone'><show>away</show><x/></presence>".encode()


@pytest.fixture
def people(world: World) -> People:
    people = People(world)
    people.befriend(JULIET, ROMEO)
    return people


@pytest.fixture
def avatars(people: People) -> Avatars:
    return Avatars(people.world.mailbox)


def only(avatars: Avatars) -> Telling:
    (telling,) = avatars.told(JULIET)[1]
    return telling


def test_sessions_that_are_not_available_tell_nothing(people: People, avatars: Avatars) -> None:
    people.world.bind("silent")
    juliet = people.available(JULIET, "phone")
    people.say(juliet, None)

    assert (b"", []) == avatars.told(JULIET)


def test_what_is_told_again_waits_in_the_outbox_once(people: People, avatars: Avatars) -> None:
    people.available(JULIET)
    telling = only(avatars)
    before = len(people.outbox(JULIET))

    assert [avatars.tell(JULIET, telling, NEW, b"") for _ in range(3)] == [True, True, True]
    assert 1 == len(people.outbox(JULIET)) - before
    assert Telling(telling.sid, TOLD, NEW, b"") == only(avatars)


def test_a_session_that_spoke_meanwhile_is_looked_at_again(people: People, avatars: Avatars) -> None:
    juliet = people.available(JULIET)
    telling = only(avatars)
    people.say(juliet, inner="<show>chat</show>")

    assert not avatars.tell(JULIET, telling, NEW, b"")
    assert b"<show>chat</show>" in only(avatars).told
    people.say(juliet, None)
    assert not avatars.tell(JULIET, telling, NEW, b"")


def test_its_next_presence_is_all_its_own(people: People, avatars: Avatars) -> None:
    juliet = people.available(JULIET)
    avatars.tell(JULIET, only(avatars), NEW, b"")
    people.say(juliet)

    assert (TOLD, TOLD) == (only(avatars).written, only(avatars).told)


def test_a_faded_session_is_told_as_it_is_seen(people: People, avatars: Avatars) -> None:
    juliet, romeo = people.available(JULIET), people.available(ROMEO)
    people.say(juliet, fade_ms=0)
    people.world.mailbox.hibernate(juliet.grip)
    broadcasts, bucket = Broadcasts(people.world.mailbox, people.world.sweep), keys.bucket_of(JULIET)
    broadcasts.fade(bucket, juliet.sid)
    telling = only(avatars)

    assert b"<show>away</show>" in telling.asleep
    assert avatars.tell(JULIET, telling, NEW, FADED)
    assert FADED == only(avatars).asleep
    for entry, fields in people.world.sweep.outbox(bucket):
        broadcasts.carry(bucket, entry, fields)
    last = [entry.stanza for entry in romeo.read() if entry.kind == "p"][-1]
    assert FADED.replace(b"<presence", b"<presence to='montague@localhost'") == last
