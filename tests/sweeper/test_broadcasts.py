"""What a dead gateway left half told: presence, subscriptions; and sessions that fade, by the sweeper's own rounds."""

from __future__ import annotations

from gateway.mailbox import keys
from gateway.mailbox.subscriptions import plain
from tests.mailbox.people import JULIET, ROMEO, People
from tests.mailbox.world import World
from workers.sweeper.sweeper import Sweeper


def test_a_round_tells_contacts_of_an_end_that_no_gateway_told(world: World, sweeper: Sweeper) -> None:
    people = People(world)
    people.befriend(JULIET, ROMEO)
    romeo, juliet = people.available(ROMEO), people.available(JULIET)
    romeo.ack_all()
    juliet.close()
    sweeper.round()

    assert [b"<presence to='montague@localhost' from='juliet@localhost/phone' type='unavailable'/>"] == romeo.stanzas()
    assert [] == people.outbox(JULIET)


def test_who_is_a_contact_no_more_before_the_round_is_told_of_the_end_as_well(world: World, sweeper: Sweeper) -> None:
    people = People(world)
    people.befriend(JULIET, ROMEO)
    romeo, juliet = people.available(ROMEO), people.available(JULIET)
    romeo.ack_all()
    juliet.close()
    people.send(JULIET, ROMEO, "unsubscribed")
    sweeper.round()

    assert b"<presence from='juliet@localhost/phone' to='montague@localhost' type='unavailable'/>" in romeo.stanzas()


def test_a_round_finishes_a_subscription(world: World, sweeper: Sweeper) -> None:
    people = People(world)
    stanza = plain(JULIET, ROMEO, "subscribe")
    people.call(JULIET, "subscription_out", JULIET, ROMEO, "subscribe", stanza, 1000, 5000, 1000)
    sweeper.round()

    assert "none + pending in" == people.state(ROMEO, JULIET)
    assert [] == people.outbox(JULIET)


def test_a_round_lets_a_session_fade_and_tells_contacts(world: World, sweeper: Sweeper) -> None:
    people = People(world)
    people.befriend(JULIET, ROMEO)
    romeo, juliet = people.available(ROMEO), people.available(JULIET)
    people.say(juliet, fade_ms=0)
    romeo.ack_all()
    juliet.hibernate()
    sweeper.round()

    (seen,) = romeo.stanzas()
    assert b"<show>away</show>" in seen
    assert 0 == world.redis.zcard(keys.key(world.at, "fading"))
