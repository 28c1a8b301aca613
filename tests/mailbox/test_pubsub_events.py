"""Personal eventing at the mailbox: who is told of what, and what who comes online gets (XEP-0163 sections 3 and 4)."""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from tests.mailbox.eventing import BALCONY, ROMEO, ROMEO_ORCHARD, TUNE, Stage, a_tune
from tests.mailbox.world import JULIET

MOOD = "http://jabber.org/protocol/mood"


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
