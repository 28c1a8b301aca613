"""Personal eventing at the mailbox: who may read, affiliations and subscriptions (XEP-0060 section 4)."""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from tests.mailbox.eventing import BALCONY, ROMEO, ROMEO_ORCHARD, TUNE, Stage, refused
from tests.mailbox.world import JULIET

MOOD = "http://jabber.org/protocol/mood"


# Access

MODELS = {
    # what the roster says, model, groups allowed, affiliation -> what Romeo is answered
    "a contact reads what presence lets him": ("both", "presence", "", "", "done"),
    "one who gets the presence": ("from", "presence", "", "", "done"),
    "one who only sends his learns nothing of the account": ("to", "presence", "", "", "no-account"),
    "nor does a stranger": ("none", "presence", "", "", "no-account"),
    "who may read what is open": ("none", "open", "", "", "done"),
    "nor is he told of a whitelist": ("none", "whitelist", "", "", "no-account"),
    "unless he is on it": ("none", "whitelist", "", "member", "done"),
    "a contact is told of it": ("both", "whitelist", "", "", "closed-node"),
    "a contact on it reads": ("both", "whitelist", "", "member", "done"),
    "an outcast does not, even what is open": ("both", "open", "", "outcast", "forbidden"),
    "an outcast stranger is told nothing": ("none", "open", "", "outcast", "no-account"),
    "a contact in a group that is allowed reads": ("both", "roster", "\nEnemies\nFriends\n", "", "done"),
    "in another one not": ("both", "roster", "\nEnemies\n", "", "not-in-roster-group"),
    "in a part of its name not": ("both", "roster", "\nFriends of mine\n", "", "not-in-roster-group"),
    "in none that is named not": ("both", "roster", "", "", "not-in-roster-group"),
    "a group is not enough without a subscription": ("to", "roster", "\nFriends\n", "", "no-account"),
}


@pytest.mark.parametrize("what", MODELS)
def test_who_may_read(stage: Stage, what: str) -> None:
    subscription, model, groups, affiliation, answer = MODELS[what]
    stage.befriend(JULIET, ROMEO, subscription, "Friends")
    stage.publish(access_model=model, roster_groups_allowed=groups)
    if affiliation:
        stage.pubsubs.affiliate(JULIET, TUNE, {ROMEO: affiliation})

    assert answer == refused(lambda: stage.ids(asker=ROMEO_ORCHARD))
    assert answer == refused(lambda: stage.pubsubs.config(JULIET, ROMEO_ORCHARD, TUNE))
    assert answer == refused(lambda: stage.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, TUNE, ROMEO))
    assert ([TUNE] if answer == "done" else []) == [node for node, _ in stage.pubsubs.nodes(JULIET, ROMEO_ORCHARD)]
    assert ["current"] == stage.ids()


def test_who_is_blocked_is_told_what_an_account_that_does_not_exist_tells(stage: Stage) -> None:
    stage.friends()
    stage.publish(access_model="open")
    stage.world.redis.sadd(keys.key(keys.prefix(JULIET), "blocked", JULIET), ROMEO)

    for owner in (JULIET, "nobody@localhost"):
        assert "no-account" == refused(lambda owner=owner: stage.ids(owner=owner, asker=ROMEO_ORCHARD))
        assert [] == stage.pubsubs.nodes(owner, ROMEO_ORCHARD)
        assert "no-account" == stage.pubsubs.standing(owner, ROMEO_ORCHARD).why


@pytest.mark.parametrize("node", [TUNE, "nothing"])
def test_a_stranger_cannot_tell_a_hidden_node_a_missing_one_and_a_missing_account_apart(
    stage: Stage, node: str
) -> None:
    stage.publish()
    asker = ROMEO_ORCHARD

    for owner in (JULIET, "nobody@localhost"):
        for call in (
            lambda owner=owner: stage.ids(node, owner=owner, asker=asker),
            lambda owner=owner: stage.pubsubs.subscribe(owner, asker, node, ROMEO),
            lambda owner=owner: stage.pubsubs.unsubscribe(owner, asker, node, ROMEO),
            lambda owner=owner: stage.pubsubs.subscriptions(owner, asker, node),
            lambda owner=owner: stage.pubsubs.affiliations(owner, asker, node),
        ):
            assert "no-account" == refused(call)


def test_a_contact_is_told_that_a_node_is_not_there(stage: Stage) -> None:
    stage.friends()

    assert "item-not-found" == refused(lambda: stage.ids(asker=ROMEO_ORCHARD))
    assert "forbidden" == stage.pubsubs.standing(JULIET, ROMEO_ORCHARD).why


# Affiliations and subscriptions


def test_affiliations_are_listed_for_the_owner_and_for_whom_they_concern(stage: Stage) -> None:
    stage.publish()
    stage.publish(MOOD)
    stage.pubsubs.affiliate(JULIET, TUNE, {ROMEO: "member", "tybalt@localhost": "outcast"})
    stage.pubsubs.affiliate(JULIET, TUNE, {"tybalt@localhost": "none"})

    assert [(TUNE, JULIET, "owner"), (TUNE, ROMEO, "member")] == stage.pubsubs.affiliations(
        JULIET, BALCONY, TUNE, of_node=True
    )
    assert [(TUNE, ROMEO, "member")] == stage.pubsubs.affiliations(JULIET, ROMEO_ORCHARD, "")
    assert [(MOOD, JULIET, "owner"), (TUNE, JULIET, "owner")] == stage.pubsubs.affiliations(JULIET, BALCONY, "")
    assert "item-not-found" == refused(lambda: stage.pubsubs.affiliate(JULIET, "nothing", {ROMEO: "member"}))


def test_affiliations_are_limited(tight: Stage) -> None:
    tight.publish()

    changes = {f"user{number}@localhost": "member" for number in range(3)}
    assert "too-many" == refused(lambda: tight.pubsubs.affiliate(JULIET, TUNE, changes))
    assert [(TUNE, JULIET, "owner")] == tight.pubsubs.affiliations(JULIET, BALCONY, TUNE, of_node=True)


def test_subscriptions_are_kept_listed_and_ended(stage: Stage) -> None:
    stage.publish(access_model="open")
    for jid in (ROMEO, ROMEO_ORCHARD, ROMEO):
        stage.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, TUNE, jid)

    assert [(TUNE, ROMEO), (TUNE, ROMEO_ORCHARD)] == stage.pubsubs.subscriptions(JULIET, ROMEO_ORCHARD, "")
    stage.pubsubs.unsubscribe(JULIET, ROMEO_ORCHARD, TUNE, ROMEO)
    assert [(TUNE, ROMEO_ORCHARD)] == stage.pubsubs.subscriptions(JULIET, ROMEO_ORCHARD, TUNE)
    assert "not-subscribed" == refused(lambda: stage.pubsubs.unsubscribe(JULIET, ROMEO_ORCHARD, TUNE, ROMEO))


def test_subscriptions_are_limited_and_can_be_switched_off(tight: Stage) -> None:
    tight.publish(access_model="open")
    for number in range(2):
        jid = f"user{number}@localhost"
        tight.pubsubs.subscribe(JULIET, f"{jid}/x", TUNE, jid)

    assert "too-many-subscriptions" == refused(lambda: tight.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, TUNE, ROMEO))
    tight.pubsubs.configure(JULIET, TUNE, {"subscribe": False}, b"")
    assert "subscribe" == refused(lambda: tight.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, TUNE, ROMEO))
