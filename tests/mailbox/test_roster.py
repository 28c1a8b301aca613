"""RFC 6121 section 2 at the mailbox: items, versions, pushes, removal; and subscriptions between two mailboxes."""

from __future__ import annotations

import re

import pytest

from gateway.mailbox import keys
from gateway.mailbox.rosters import NotInRoster
from gateway.mailbox.subscriptions import RosterFull, plain
from tests.mailbox.people import JULIET, NURSE, ROMEO, People
from tests.mailbox.world import World
from tests.support.pieces import eventually


@pytest.fixture
def people(world: World) -> People:
    return People(world)


def friends(people: People, *contacts: str, **options: object) -> None:
    for contact in contacts:
        people.rosters.set(JULIET, contact, name="", groups=[], most_items=1000)


def pushed(stanzas: list[bytes]) -> list[bytes]:
    """The items of roster pushes."""
    return [found[1] for each in stanzas if (found := re.search(rb"jabber:iq:roster' ver='\d+'>(.*)</query>", each))]


def test_a_roster_without_contacts_is_empty(people: People) -> None:
    assert b"" == people.items(JULIET).items


def test_an_item_has_its_name_and_groups_escaped(people: People) -> None:
    people.rosters.set(JULIET, ROMEO, name="R & <'>", groups=["Friends", 'a "b" &'], most_items=10)

    assert (
        b"<item jid='montague@localhost' name='R &amp; &lt;&apos;&gt;' subscription='none'>"
        b"<group>Friends</group><group>a &quot;b&quot; &amp;</group></item>"
    ) == people.items(JULIET).items


def test_a_change_replaces_name_and_groups_and_leaves_the_subscription(people: People) -> None:
    people.befriend(JULIET, ROMEO)
    people.rosters.set(JULIET, ROMEO, name="Romeo", groups=["a"], most_items=10)
    people.rosters.set(JULIET, ROMEO, name="", groups=[], most_items=10)

    assert b"<item jid='montague@localhost' subscription='both'/>" == people.items(JULIET).items


def test_interested_resources_get_each_change_and_others_none(people: People) -> None:
    phone, tablet = people.available(JULIET), people.world.client("tablet")
    friends(people, ROMEO)

    assert [b"<item jid='montague@localhost' subscription='none'/>"] == pushed(phone.stanzas())
    assert [] == pushed(tablet.stanzas())
    assert b" to='juliet@localhost/phone'>" in phone.stanzas()[-1]


def test_a_full_roster_takes_changes_and_no_more_items(people: People) -> None:
    people.rosters.set(JULIET, ROMEO, name="", groups=[], most_items=1)
    people.rosters.set(JULIET, ROMEO, name="R", groups=[], most_items=1)

    with pytest.raises(RosterFull):
        people.rosters.set(JULIET, NURSE, name="", groups=[], most_items=1)
    with pytest.raises(RosterFull):
        people.subscriptions.send(user=JULIET, contact=NURSE, type_="subscribe", stanza=b"<presence/>", most_items=1)


# Versions: section 2.6


def test_a_client_with_the_newest_version_is_told_nothing(people: People) -> None:
    friends(people, ROMEO)
    version = people.items(JULIET).version
    again = people.items(JULIET, str(version))
    phone = people.world.client()
    people.rosters.follow(phone.grip, version)

    assert (version, None) == (again.version, again.items)
    assert [] == phone.stanzas()


def test_a_client_with_an_older_version_gets_what_has_changed_in_order(people: People) -> None:
    friends(people, ROMEO, NURSE)
    version = people.items(JULIET).version
    friends(people, "tybalt@localhost")
    people.rosters.remove(JULIET, ROMEO)
    people.rosters.set(JULIET, NURSE, name="N", groups=[], most_items=10)
    roster = people.items(JULIET, str(version))
    phone = people.world.client()
    people.rosters.follow(phone.grip, roster.version)

    assert roster.items is None
    assert [
        b"<item jid='tybalt@localhost' subscription='none'/>",
        b"<item jid='montague@localhost' subscription='remove'/>",
        b"<item jid='nurse@localhost' name='N' subscription='none'/>",
    ] == pushed(phone.stanzas())


@pytest.mark.parametrize("known", ["", "0", "x", "-1", "99999999999999", "1" * 400, "1e3", " 5"])
def test_a_version_that_was_never_given_gets_the_whole_roster(people: People, known: str) -> None:
    friends(people, ROMEO)

    assert b"<item jid='montague@localhost' subscription='none'/>" == people.items(JULIET, known).items


def test_an_item_that_comes_again_is_no_removal(people: People) -> None:
    friends(people, ROMEO)
    version = people.items(JULIET).version
    people.rosters.remove(JULIET, ROMEO)
    friends(people, ROMEO)
    phone = people.world.client()
    people.rosters.follow(phone.grip, version)

    assert [b"<item jid='montague@localhost' subscription='none'/>"] == pushed(phone.stanzas())


def test_older_removals_than_are_remembered_mean_the_whole_roster(people: People) -> None:
    friends(people, *(f"c{n}@localhost" for n in range(210)))
    old = people.items(JULIET).version
    for n in range(205):
        people.rosters.remove(JULIET, f"c{n}@localhost")
    newer = people.items(JULIET).version
    people.rosters.remove(JULIET, "c205@localhost")

    assert people.items(JULIET, str(old)).items is not None
    assert people.items(JULIET, str(newer)).items is None
    assert 200 == people.world.redis.zcard(keys.key(people.world.at, "removed", JULIET))


def test_an_account_that_is_made_anew_repeats_no_version(people: People) -> None:
    friends(people, ROMEO)
    version = people.items(JULIET).version
    people.world.accounts.remove(JULIET)
    eventually(lambda: int(people.world.redis.time()[0]) * 1000 > version, "the next second")  # type: ignore[index]
    people.world.account()

    assert people.items(JULIET, str(version)).items is not None


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("roster", ("",)),
        ("roster_set", (ROMEO, "", "[]", "", 10, 5000, 1000)),
        ("roster_remove", (ROMEO, 5000, 1000)),
        ("subscription_out", (ROMEO, "subscribe", "<presence/>", 10, 5000, 1000)),
        ("subscription_in", (ROMEO, "subscribe", "1-1", "<presence/>", 5000, 1000)),
    ],
)
def test_what_comes_late_does_not_bring_a_removed_account_back(
    people: People, operation: str, arguments: tuple[str | int, ...]
) -> None:
    people.world.accounts.remove(JULIET)
    people.call(JULIET, operation, JULIET, *arguments)

    assert 0 == people.world.redis.exists(
        *(keys.key(people.world.at, name, JULIET) for name in ("account", "roster", "requests"))
    )


def test_a_disabled_account_s_subscriptions_go_on(people: People) -> None:
    people.befriend(JULIET, ROMEO)
    account, disabled = (keys.key(people.world.at, name, JULIET) for name in ("account", "disabled"))
    people.world.redis.rename(account, disabled)
    people.send(ROMEO, JULIET, "unsubscribe")

    assert "to" == people.state(JULIET, ROMEO)
    assert 0 == people.world.redis.exists(account)


# Removal: section 2.5


def test_a_removed_contact_is_no_more_subscribed_either_way(people: People) -> None:
    people.befriend(JULIET, ROMEO)
    phone = people.available(ROMEO)
    people.rosters.remove(JULIET, ROMEO)

    assert ("none", "none") == (people.state(JULIET, ROMEO), people.state(ROMEO, JULIET))
    assert b"" == people.items(JULIET).items
    assert b"<item jid='juliet@localhost' subscription='none'/>" == people.items(ROMEO).items
    assert {b"unsubscribe", b"unsubscribed"} == {
        found[1] for each in phone.stanzas() if (found := re.search(rb"type='(unsub\w+)'", each))
    }
    assert [] == people.outbox(JULIET)


def test_a_removal_takes_a_request_back_and_refuses_one(people: People) -> None:
    people.send(JULIET, ROMEO, "subscribe")
    people.send(ROMEO, JULIET, "subscribe")
    people.rosters.remove(JULIET, ROMEO)

    assert ("none", "none") == (people.state(JULIET, ROMEO), people.state(ROMEO, JULIET))


def test_what_is_not_there_cannot_be_removed(people: People) -> None:
    with pytest.raises(NotInRoster):
        people.rosters.remove(JULIET, ROMEO)


def test_a_removal_that_is_sent_again_is_the_same(people: People) -> None:
    friends(people, ROMEO)
    first = people.call(JULIET, "roster_remove", JULIET, ROMEO, 5000, 1000)

    assert b"ok" == first[0] == people.call(JULIET, "roster_remove", JULIET, ROMEO, 5000, 1000)[0]


# Two mailboxes: section 3


def test_two_people_subscribe_both_ways(people: People) -> None:
    people.befriend(JULIET, ROMEO)

    assert ("both", "both") == (people.state(JULIET, ROMEO), people.state(ROMEO, JULIET))
    assert [] == people.outbox(JULIET) + people.outbox(ROMEO)


def test_a_request_waits_for_its_answer_and_comes_with_every_initial_presence(people: People) -> None:
    request = (
        b"<presence from='juliet@localhost' to='montague@localhost' type='subscribe'><status>hi</status></presence>"
    )
    people.send(JULIET, ROMEO, "subscribe", request)
    seen = []
    for resource in ("one", "two"):
        client = people.world.bind(resource, user=ROMEO)
        people.say(client)
        seen.append(request in client.stanzas())
    people.send(ROMEO, JULIET, "unsubscribed")
    third = people.world.bind("three", user=ROMEO)
    people.say(third)

    assert [True, True] == seen
    assert request not in third.stanzas()
    assert "none" == people.state(JULIET, ROMEO)


def test_a_request_is_kept_without_what_is_too_much_in_it(people: People) -> None:
    people.send(JULIET, ROMEO, "subscribe", b"<presence><status>" + b"x" * 5000 + b"</status></presence>")
    client = people.world.bind(user=ROMEO)
    people.say(client)

    assert plain(JULIET, ROMEO, "subscribe") in client.stanzas()


def test_approval_shows_the_presence_and_its_end_hides_it(people: People) -> None:
    juliet, romeo = people.available(JULIET), people.available(ROMEO)
    people.send(ROMEO, JULIET, "subscribe")
    romeo.ack_all()
    people.send(JULIET, ROMEO, "subscribed")
    shown = romeo.stanzas()
    romeo.ack_all()
    people.send(JULIET, ROMEO, "unsubscribed")

    assert b"<presence to='montague@localhost' from='juliet@localhost/phone'></presence>" == shown[-1]
    assert plain(JULIET, ROMEO, "subscribed") == shown[0]
    assert [b"<presence from='juliet@localhost/phone' to='montague@localhost' type='unavailable'/>"] == [
        each for each in romeo.stanzas() if b"type='unavailable'" in each
    ]
    assert juliet.stanzas()


def test_who_unsubscribes_sees_the_contact_no_more(people: People) -> None:
    people.befriend(JULIET, ROMEO)
    people.available(JULIET)
    romeo = people.available(ROMEO)
    people.send(ROMEO, JULIET, "unsubscribe")

    assert ("from", "to") == (people.state(ROMEO, JULIET), people.state(JULIET, ROMEO))
    assert b"<presence from='juliet@localhost/phone' to='montague@localhost' type='unavailable'/>" in romeo.stanzas()


def test_a_pre_approved_contact_is_answered_at_once(people: People) -> None:
    people.available(JULIET)
    romeo = people.available(ROMEO)
    people.send(JULIET, ROMEO, "subscribed")
    approved = people.items(JULIET).items
    people.send(ROMEO, JULIET, "subscribe")

    assert b"<item jid='montague@localhost' approved='true' subscription='none'/>" == approved
    assert ("from", "to") == (people.state(JULIET, ROMEO), people.state(ROMEO, JULIET))
    assert b"<presence to='montague@localhost' from='juliet@localhost/phone'></presence>" in romeo.stanzas()


@pytest.mark.parametrize("type_", ["subscribe", "subscribed", "unsubscribe", "unsubscribed"])
def test_blocked_contacts_reach_nobody(people: People, type_: str) -> None:
    people.befriend(JULIET, ROMEO)
    people.put(JULIET, ROMEO, "both")
    people.world.redis.sadd(keys.key(people.world.at, "blocked", JULIET), ROMEO)
    juliet = people.available(JULIET)
    people.send(ROMEO, JULIET, type_)

    assert "both" == people.state(JULIET, ROMEO)
    assert [] == [each for each in juliet.stanzas() if b"type=" in each]


@pytest.mark.parametrize("type_", ["subscribe", "subscribed", "unsubscribe", "unsubscribed"])
def test_what_was_half_done_when_a_gateway_died_is_finished_from_the_outbox(people: People, type_: str) -> None:
    before = {"subscribe": ("none", "none"), "subscribed": ("none + pending in", "none + pending out")}
    people.put(JULIET, ROMEO, before.get(type_, ("both", "both"))[0])
    people.put(ROMEO, JULIET, before.get(type_, ("both", "both"))[1])
    stanza = plain(JULIET, ROMEO, type_)
    reply = people.call(JULIET, "subscription_out", JULIET, ROMEO, type_, stanza, 1000, 5000, 1000)
    after = {
        "subscribe": ("none + pending out", "none + pending in"),
        "subscribed": ("from", "to"),
        "unsubscribe": ("from", "to"),
        "unsubscribed": ("to", "from"),
    }

    for _ in range(2):  # and once more, as when a sweeper dies before it can say so
        people.subscriptions.carry(
            people.world.at, reply[1].decode(), user=JULIET, contact=ROMEO, type_=type_, stanza=stanza
        )

    assert after[type_] == (people.state(JULIET, ROMEO), people.state(ROMEO, JULIET))
    assert [] == people.outbox(JULIET)


def test_a_removed_account_leaves_nothing_behind_at_its_contacts(people: People) -> None:
    people.befriend(JULIET, ROMEO)
    people.send(JULIET, NURSE, "subscribe")
    people.world.accounts.remove(JULIET)
    for entry, fields in people.world.sweep.outbox(people.world.bucket):
        if fields["do"] == b"subscription":
            user, contact, type_ = (fields[name].decode() for name in ("user", "contact", "type"))
            people.subscriptions.carry(
                people.world.at, entry, user=user, contact=contact, type_=type_, stanza=fields["stanza"]
            )

    assert ("none", "none") == (people.state(ROMEO, JULIET), people.state(NURSE, JULIET))
    assert 0 == people.world.redis.exists(*(keys.key(people.world.at, name, JULIET) for name in ("roster", "requests")))


def test_what_a_gateway_has_just_written_is_left_to_it(people: People) -> None:
    people.call(JULIET, "subscription_out", JULIET, ROMEO, "subscribe", plain(JULIET, ROMEO, "subscribe"), 9, 99, 9)
    sweep, bucket = people.world.sweep, people.world.bucket

    assert [] == sweep.outbox(bucket, spared_ms=60_000)
    assert [b"subscription"] == [fields["do"] for _, fields in sweep.outbox(bucket)]
