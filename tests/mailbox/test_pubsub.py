"""XEP-0163 in the mailbox: nodes and items, who may, who is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.mailbox import keys
from gateway.mailbox.pubsub_model import NodeConfig
from tests.mailbox.eventing import BALCONY, ROMEO, ROMEO_ORCHARD, TUNE, Stage, a_tune, refused
from tests.mailbox.world import JULIET, a_world

MOOD = "http://jabber.org/protocol/mood"


@pytest.fixture
def stage(redis_url: str) -> Iterator[Stage]:
    with a_world(redis_url) as world:
        world.account()
        world.account(ROMEO)
        yield Stage(world)


@pytest.fixture
def tight(redis_url: str) -> Iterator[Stage]:
    """Two nodes, three items, 1 KiB an item, 64 KiB in all, two subscriptions."""
    with a_world(redis_url) as world:
        world.account()
        yield Stage(world, max_nodes=2, max_items=3, max_item_bytes=1024, max_bytes=65536, max_subscriptions=2)


def config(stage: Stage, node: str = TUNE, asker: str = BALCONY) -> NodeConfig:
    return stage.pubsubs.config(JULIET, asker, node)[0]


# Items


def test_publishing_makes_the_node_with_the_defaults_of_xep_0163(stage: Stage) -> None:
    stage.publish()

    found = config(stage)
    assert ("presence", 1, True, "on_sub_and_presence") == (
        found.access_model, found.max_items, found.persist_items, found.send_last_published_item,
    )  # fmt: skip
    assert found.created > 0


def test_options_configure_a_node_that_is_made(stage: Stage) -> None:
    stage.publish(access_model="whitelist", max_items=0)

    assert ("whitelist", 0) == (config(stage).access_model, config(stage).max_items)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"access_model": "open"}, "precondition-not-met"),
        ({"access_model": "whitelist"}, "done"),
        ({"max_items": 1000}, "done"),  # `max` is what the server allows
        ({"max_items": 999}, "precondition-not-met"),
        ({"persist_items": True, "max_items": 0}, "done"),
        ({"persist_items": False}, "precondition-not-met"),
        ({"roster_groups_allowed": "\nFriends\n"}, "precondition-not-met"),
    ],
)
def test_options_are_preconditions_of_a_node_that_is_there(stage: Stage, options: Any, answer: str) -> None:
    stage.publish(access_model="whitelist", max_items=0)

    assert answer == refused(lambda: stage.publish(item="second", **options))
    assert (["current", "second"] if answer == "done" else ["current"]) == stage.ids()


def test_an_item_without_an_id_gets_one_of_its_own(stage: Stage) -> None:
    first, second = stage.publish(item="", max_items=5), stage.publish(item="")

    assert [first, second] == stage.ids()
    assert first != second


def test_the_same_id_replaces_an_item_and_makes_it_the_newest(stage: Stage) -> None:
    for item in ("a", "b", "c"):
        stage.publish(item=item, max_items=5)
    stage.publish(item="a", payload=a_tune("new"))

    assert ["b", "c", "a"] == stage.ids()
    assert a_tune("new") in stage.pubsubs.items(JULIET, BALCONY, TUNE, mode="ids", ids=["a"]).items[0].xml


def test_the_oldest_items_make_room(tight: Stage) -> None:
    for item in "abcde":
        tight.publish(item=item, max_items=0)

    assert ["c", "d", "e"] == tight.ids()


def test_nodes_are_limited(tight: Stage) -> None:
    tight.publish(node="one")
    tight.publish(node="two")

    assert "too-many-nodes" == refused(lambda: tight.publish(node="three"))
    assert "too-many-nodes" == refused(lambda: tight.pubsubs.create(JULIET, "three", {}))
    assert ["one", "two"] == [node for node, _ in tight.pubsubs.nodes(JULIET, BALCONY)]


def test_an_items_bytes_are_limited(tight: Stage) -> None:
    assert "payload-too-big" == refused(lambda: tight.publish(payload=a_tune("x" * 1024)))
    assert [] == tight.pubsubs.nodes(JULIET, BALCONY)


def test_a_nodes_own_limit_of_bytes_holds(stage: Stage) -> None:
    stage.publish(max_payload_size=200)

    assert "payload-too-big" == refused(lambda: stage.publish(payload=a_tune("x" * 200)))


def test_all_items_together_are_limited_and_what_goes_makes_room(redis_url: str) -> None:
    with a_world(redis_url) as world:
        world.account()
        stage = Stage(world, max_bytes=65536)
        big = a_tune("x" * 20000)
        for item in "abc":
            stage.publish(item=item, payload=big, max_items=10)

        assert "quota" == refused(lambda: stage.publish(item="d", payload=big))
        stage.publish(item="a", payload=big)
        stage.pubsubs.retract(JULIET, TUNE, "b", notify=False)
        stage.publish(item="d", payload=big)
        assert "quota" == refused(lambda: stage.publish(item="e", payload=big))
        stage.pubsubs.empty(JULIET, TUNE, "purge")
        assert "0" == world.hash("account", JULIET)["pubsub_bytes"]


def test_items_come_in_pages(stage: Stage) -> None:
    for number in range(10):
        stage.publish(item=f"i{number}", max_items=0)

    def page(**how: Any) -> tuple[list[str], int, int]:
        found = stage.pubsubs.items(JULIET, BALCONY, TUNE, **how)
        return [item.id for item in found.items], found.count, found.first

    assert (["i0", "i1", "i2"], 10, 0) == page(most=3)
    assert (["i3", "i4", "i5"], 10, 3) == page(mode="after", ids=["i2"], most=3)
    assert (["i4", "i5"], 10, 4) == page(mode="before", ids=["i6"], most=2)
    assert (["i0"], 10, 0) == page(mode="before", ids=["i1"], most=5)
    assert (["i8", "i9"], 10, 8) == page(mode="last", most=2)
    assert ([], 10, -1) == page(mode="after", ids=["i9"], most=3)
    assert ([], 10, -1) == page(most=0)
    assert (["i7", "i1"], 10, 7) == page(mode="ids", ids=["i7", "nothing", "i1"])
    assert "no-such-item" == refused(lambda: page(mode="after", ids=["nothing"]))


def test_an_answer_holds_no_more_than_a_piece(stage: Stage) -> None:
    for number in range(8):
        stage.publish(item=f"i{number}", payload=a_tune("x" * 200_000), max_items=0)

    found = stage.pubsubs.items(JULIET, BALCONY, TUNE)
    newest = stage.pubsubs.items(JULIET, BALCONY, TUNE, mode="last", most=8)

    assert ([f"i{number}" for number in range(6)], 8) == ([item.id for item in found.items], found.count)
    assert [f"i{number}" for number in range(2, 8)] == [item.id for item in newest.items]


def test_items_expire(stage: Stage) -> None:
    stage.publish(item="old", max_items=5, item_expire=60)
    key = keys.key(keys.prefix(JULIET), "node_items", JULIET, TUNE)
    value: bytes = stage.world.redis.hget(key, "old")  # type: ignore[assignment]
    stage.world.redis.hset(key, "old", b"1000|" + value.split(b"|", 1)[1])
    stage.publish(item="new")

    assert ["new"] == stage.ids()


def test_what_is_not_persisted_is_told_and_not_kept(stage: Stage) -> None:
    phone = stage.client("phone", TUNE)
    stage.publish(persist_items=False)

    assert 1 == len(stage.events(phone))
    assert "persistent-items" == refused(stage.ids)
    assert "persistent-items" == refused(lambda: stage.pubsubs.retract(JULIET, TUNE, "current", notify=True))
    assert "persistent-items" == refused(lambda: stage.pubsubs.empty(JULIET, TUNE, "purge"))


def test_retract_purge_and_delete(stage: Stage) -> None:
    stage.publish(item="a", max_items=5)
    stage.publish(item="b")
    stage.pubsubs.retract(JULIET, TUNE, "a", notify=False)

    assert ["b"] == stage.ids()
    assert "item-not-found" == refused(lambda: stage.pubsubs.retract(JULIET, TUNE, "a", notify=False))
    stage.pubsubs.empty(JULIET, TUNE, "purge")
    assert [] == stage.ids()
    stage.pubsubs.empty(JULIET, TUNE, "delete")
    assert "item-not-found" == refused(stage.ids)
    assert "item-not-found" == refused(lambda: stage.pubsubs.empty(JULIET, TUNE, "delete"))


def test_a_node_can_be_created_once(stage: Stage) -> None:
    stage.pubsubs.create(JULIET, TUNE, {"access_model": "open"})

    assert "conflict" == refused(lambda: stage.pubsubs.create(JULIET, TUNE, {}))
    assert "open" == config(stage).access_model


def test_a_smaller_node_keeps_its_newest_items(stage: Stage) -> None:
    for item in "abc":
        stage.publish(item=item, max_items=5)
    stage.pubsubs.configure(JULIET, TUNE, {"max_items": 2, "title": "Tunes"}, b"")

    assert ["b", "c"] == stage.ids()
    assert ("Tunes", 2) == (config(stage).title, config(stage).max_items)
    assert "item-not-found" == refused(lambda: stage.pubsubs.configure(JULIET, "nothing", {"title": "x"}, b""))


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


# Who is told


def test_the_owners_sessions_that_want_the_node_are_told_and_no_others(stage: Stage) -> None:
    phone, laptop = stage.client("phone", TUNE, MOOD), stage.client("laptop", MOOD)
    stage.process.announced.clear()
    stage.publish()

    assert [] == stage.events(laptop)
    [event] = stage.events(phone)
    assert event.startswith(b"<message from='juliet@localhost' to='juliet@localhost/phone' type='headline' id='")
    assert b"<items node='http://jabber.org/protocol/tune'><item id='current'><tune " in event
    assert [phone.sid] == [each.sid for each in stage.process.announced]


def test_contacts_are_told_if_they_want_the_node_and_may_read_it(stage: Stage) -> None:
    stage.friends()
    romeo = stage.client("orchard", TUNE, user=ROMEO)
    other = stage.client("garden", user=ROMEO)
    stage.publish()

    [event] = stage.events(romeo)
    assert event.startswith(b"<message from='juliet@localhost' to='romeo@localhost/orchard' type='headline' ")
    assert [] == stage.events(other)


@pytest.mark.parametrize(
    ("subscription", "model", "count"),
    [("to", "presence", 0), ("none", "open", 0), ("from", "open", 1), ("both", "whitelist", 0), ("both", "roster", 0)],
)
def test_contacts_are_told_by_the_access_model(stage: Stage, subscription: str, model: str, count: int) -> None:
    stage.befriend(JULIET, ROMEO, subscription)
    romeo = stage.client("orchard", TUNE, user=ROMEO)
    stage.publish(access_model=model)

    assert count == len(stage.events(romeo))


@pytest.mark.parametrize(("user", "blocked"), [(JULIET, ROMEO), (ROMEO, JULIET)])
def test_a_block_in_either_direction_keeps_events_away(stage: Stage, user: str, blocked: str) -> None:
    stage.friends()
    romeo = stage.client("orchard", TUNE, user=ROMEO)
    stage.world.redis.sadd(keys.key(keys.prefix(user), "blocked", user), blocked)
    stage.publish()

    assert [] == stage.events(romeo)


def test_explicit_subscribers_are_told_once_whatever_their_capabilities(stage: Stage) -> None:
    stage.friends()
    orchard, garden = stage.client("orchard", TUNE, user=ROMEO), stage.client("garden", user=ROMEO)
    stage.publish(access_model="open", send_last_published_item="never")
    orchard.ack_all()
    stage.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, TUNE, f"{ROMEO}/garden")
    stage.publish()

    assert (1, 1) == (len(stage.events(orchard)), len(stage.events(garden)))
    stage.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, TUNE, ROMEO)
    stage.publish()
    assert (2, 2) == (len(stage.events(orchard)), len(stage.events(garden)))


def test_the_owner_may_subscribe_instead_of_having_capabilities(stage: Stage) -> None:
    phone, laptop = stage.client("phone"), stage.client("laptop", TUNE)
    stage.publish(send_last_published_item="never")
    laptop.ack_all()
    stage.pubsubs.subscribe(JULIET, BALCONY, TUNE, JULIET)
    stage.publish()

    assert (1, 1) == (len(stage.events(phone)), len(stage.events(laptop)))


def test_a_new_subscriber_gets_the_last_item_with_its_time(stage: Stage) -> None:
    stage.publish(access_model="open")
    romeo = stage.client("orchard", user=ROMEO)
    stage.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, TUNE, ROMEO)

    [event] = stage.events(romeo)
    assert b"<item id='current'>" in event
    assert b"<delay xmlns='urn:xmpp:delay' stamp='2" in event


def test_who_loses_access_loses_his_subscription(stage: Stage) -> None:
    stage.friends()
    romeo = stage.client("orchard", user=ROMEO)
    stage.publish(send_last_published_item="never")
    stage.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, TUNE, ROMEO)
    stage.befriend(JULIET, ROMEO, "none")
    stage.publish()
    stage.befriend(JULIET, ROMEO, "both")

    assert [] == stage.events(romeo)
    assert [] == stage.pubsubs.subscriptions(JULIET, ROMEO_ORCHARD, "")


def test_a_roster_of_many_contacts_is_told_in_pages(stage: Stage) -> None:
    contacts = [f"contact{number}@localhost" for number in range(1300)]
    for contact in contacts:
        stage.befriend(JULIET, contact, "both")
    watching = []
    for contact in contacts[::100]:
        stage.world.account(contact)
        watching.append(stage.client("phone", TUNE, user=contact))
    stage.publish()

    assert [1] * 13 == [len(stage.events(client)) for client in watching]


def test_retracting_is_told_when_it_is_asked_for_or_configured(stage: Stage) -> None:
    phone = stage.client("phone", TUNE)
    for item in "abc":
        stage.publish(item=item, max_items=5)
    phone.ack_all()
    stage.pubsubs.retract(JULIET, TUNE, "a", notify=False)
    stage.pubsubs.retract(JULIET, TUNE, "b", notify=True)
    stage.pubsubs.configure(JULIET, TUNE, {"notify_retract": True}, b"")
    stage.pubsubs.retract(JULIET, TUNE, "c", notify=False)

    events = stage.events(phone)
    assert 2 == len(events)
    assert b"<retract id='b'/></items>" in events[0]
    assert b"<retract id='c'/></items>" in events[1]


def test_items_that_had_to_go_are_told_if_the_node_is_configured_so(stage: Stage) -> None:
    phone = stage.client("phone", TUNE)
    stage.publish(item="a", max_items=2, notify_retract=True)
    stage.publish(item="b")
    phone.ack_all()
    stage.publish(item="c")

    assert [True, True] == [b"item id='c'" in event or b"<retract id='a'/>" in event for event in stage.events(phone)]


def test_purge_delete_and_configuration_are_told(stage: Stage) -> None:
    stage.friends()
    romeo = stage.client("orchard", TUNE, user=ROMEO)
    stage.publish(notify_config=True)
    stage.events(romeo)
    romeo.ack_all()
    stage.pubsubs.configure(JULIET, TUNE, {"title": "x"}, b"<configuration node='n'/>")
    stage.pubsubs.empty(JULIET, TUNE, "purge")
    stage.pubsubs.empty(JULIET, TUNE, "delete")

    kinds = [event.split(b"#event'>")[1].split(b" ")[0] for event in stage.events(romeo)]
    assert [b"<configuration", b"<purge", b"<delete"] == kinds


def test_a_node_may_tell_nothing_or_only_that_there_is_something(stage: Stage) -> None:
    phone = stage.client("phone", TUNE, MOOD)
    stage.publish(deliver_payloads=False, notification_type="normal")
    stage.publish(MOOD, deliver_notifications=False)

    [event] = stage.events(phone)
    assert b" type='normal' " in event
    assert b"<item id='current'/></items>" in event


def test_a_sleeping_session_gets_the_newest_event_of_each_item(stage: Stage) -> None:
    phone = stage.client("phone", TUNE, "many")
    phone.hibernate()
    for title in ("first", "second"):
        stage.publish(item="", payload=a_tune(title))
        stage.publish("many", item="a", payload=a_tune(title), max_items=0)
        stage.publish("many", item="b", payload=a_tune(title))
    back = phone.taken_over(phone.resume(int(phone.marks()["acked"])))

    events = stage.events(back)
    assert 3 == len(events)
    assert all(b"second" in event for event in events)


# Coming online


def test_a_session_that_begins_to_want_a_node_gets_its_last_item_and_contacts(stage: Stage) -> None:
    stage.friends()
    stage.publish(owner=ROMEO, payload=a_tune("his"))
    stage.publish(payload=a_tune("hers"))
    phone = stage.client("phone")
    stage.wants(phone, TUNE)

    events = stage.events(phone)
    assert [b"hers", b"his"] == [event.split(b"<title>")[1].split(b"<")[0] for event in events]
    assert events[1].startswith(b"<message from='romeo@localhost' to='juliet@localhost/phone' type='headline'")
    assert all(b"<delay xmlns='urn:xmpp:delay' stamp='" in event for event in events)


def test_wanting_the_same_again_brings_nothing_and_something_else_only_that(stage: Stage) -> None:
    stage.publish()
    stage.publish(MOOD)
    phone = stage.client("phone", TUNE)
    stage.wants(phone, TUNE)

    assert [] == stage.events(phone)
    stage.wants(phone, TUNE, MOOD)
    [event] = stage.events(phone)
    assert MOOD.encode() in event
    stage.wants(phone)
    stage.publish()
    assert 1 == len(stage.events(phone))
    assert b"notify" not in stage.marks(phone)


def test_who_begins_to_get_the_presence_gets_the_last_items(stage: Stage) -> None:
    romeo, other = stage.client("orchard", TUNE, user=ROMEO), stage.client("garden", user=ROMEO)
    stage.publish()
    stage.interests.acquaint(JULIET, ROMEO)
    stage.settle()
    stage.friends()
    stage.interests.acquaint(JULIET, ROMEO)

    [event] = stage.events(romeo)
    assert event.startswith(b"<message from='juliet@localhost' to='romeo@localhost/orchard' type='headline'")
    assert [] == stage.events(other)


@pytest.mark.parametrize(("sends", "count"), [("never", 0), ("on_sub", 0), ("on_sub_and_presence", 1)])
def test_last_items_come_by_configuration(stage: Stage, sends: str, count: int) -> None:
    stage.publish(send_last_published_item=sends)
    phone = stage.client("phone")
    stage.wants(phone, TUNE)

    assert count == len(stage.events(phone))


def test_last_items_are_for_those_who_may_read_them(stage: Stage) -> None:
    stage.befriend(ROMEO, JULIET, "both")
    stage.publish(access_model="presence")
    romeo = stage.client("orchard", user=ROMEO)
    stage.wants(romeo, TUNE)

    assert [] == stage.events(romeo)


def test_a_session_that_is_not_available_gets_nothing_yet(stage: Stage) -> None:
    stage.publish()
    phone = stage.world.bind("phone")
    stage.wants(phone, TUNE)

    assert 0 == int(phone.marks()["tail"])
    assert f"\n{TUNE}\n" == phone.marks()["notify"]


def test_times_are_written_as_xep_0082_says(stage: Stage) -> None:
    stage.publish()
    key = keys.key(keys.prefix(JULIET), "node_items", JULIET, TUNE)
    for ms, text in ((951782399999, "2000-02-28T23:59:59Z"), (951868799000, "2000-02-29T23:59:59Z"),
                     (1709251200000, "2024-03-01T00:00:00Z"), (1798761599000, "2026-12-31T23:59:59Z")):  # fmt: skip
        stage.world.redis.hset(key, "current", b"%d|<item id='current'/>" % ms)
        phone = stage.client("phone")
        stage.wants(phone, TUNE)

        assert f"stamp='{text}'".encode() in stage.events(phone)[0]


# Sent again, and removed


def test_a_request_that_the_journal_sends_again_is_taken_once(stage: Stage) -> None:
    phone = stage.client("phone", TUNE)
    arguments = ("pubsub_publish", "@p", 1, JULIET, JULIET, TUNE, TUNE, "a", b"<item id='a'/>", b"<item id='a'/>",
                 b'{"access_model":"presence","max_items":9,"persist_items":true,"item_expire":0,"max_payload_size":0,'
                 b'"deliver_notifications":true,"deliver_payloads":true,"notification_type":"headline"}',
                 b"{}", "e", 9, 9, 99999, 5000, 1000)  # fmt: skip
    first = stage.world.call(*arguments)
    again = stage.world.call(*arguments)

    assert first == again
    assert 1 == len(stage.events(phone))
    stage.publish("n2")
    for operation, rest in (
        ("pubsub_create", (JULIET, "n", b"{}", b"{}", 9)),
        ("pubsub_retract", (JULIET, JULIET, TUNE, "a", b"<x/>", "e", "1", 5000, 1000)),
        ("pubsub_empty", (JULIET, JULIET, "n2", "delete", b"<x/>", "e", 5000, 1000)),
    ):
        one = stage.world.call(operation, "@" + operation, 1, *rest)
        two = stage.world.call(operation, "@" + operation, 1, *rest)
        assert b"ok" == (one if isinstance(one, bytes) else one[0])
        assert b"ok" == (two if isinstance(two, bytes) else two[0])


def test_whom_a_dying_process_did_not_tell_gets_the_item_when_he_comes_next(stage: Stage) -> None:
    stage.friends()
    romeo = stage.client("orchard", TUNE, user=ROMEO)
    stage.pubsubs._notify = lambda *_: None  # type: ignore[method-assign]  # the process died before
    stage.publish()
    again = stage.client("garden", user=ROMEO)
    stage.wants(again, TUNE)

    assert [] == stage.events(romeo)
    assert 1 == len(stage.events(again))


def test_removing_the_account_erases_everything_of_it(stage: Stage) -> None:
    stage.friends()
    before = {bytes(key) for key in stage.world.redis.scan_iter()}
    for node in (TUNE, MOOD, "a:b", "x\u00e9"):
        stage.publish(node, access_model="open", max_items=3)
        stage.pubsubs.subscribe(JULIET, ROMEO_ORCHARD, node, ROMEO)
        stage.pubsubs.affiliate(JULIET, node, {ROMEO: "member"})
    stage.world.accounts.remove(JULIET)

    left = {bytes(key) for key in stage.world.redis.scan_iter()} - before
    assert [] == [key for key in left if b":pub" in key or JULIET.encode() in key]


def test_items_that_last_no_longer_than_their_owner_is_online(stage: Stage) -> None:
    from gateway.xmpp.jid import JID

    phone = stage.client("phone")
    stage.publish(purge_offline=True)
    stage.publish(MOOD)
    laptop = stage.client("laptop")
    stage.interests.gone(JID.parse(f"{JULIET}/phone"), phone.sid)
    stage.settle()

    assert ["current"] == stage.ids()
    laptop.presence(None)
    stage.interests.gone(JID.parse(f"{JULIET}/phone"), phone.sid)
    stage.settle()
    assert [] == stage.ids()
    assert ["current"] == stage.ids(MOOD)


def test_strings_of_capabilities_are_bounded(stage: Stage) -> None:
    stage.world.redis.hset(keys.CAPS, mapping={f"sha-1#{number}": "\nn\n" for number in range(9_999)})
    for number in range(3):
        stage.world.journal.call("FCALL", "wg1_caps_keep", 1, keys.CAPS, f"sha-1#new{number}", "\nn\n")

    assert 10_000 == stage.world.redis.hlen(keys.CAPS)
