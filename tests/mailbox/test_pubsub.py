"""XEP-0163 in the mailbox: nodes, their items, and what is left of them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.mailbox import keys
from gateway.mailbox.library import function
from gateway.mailbox.pubsub_model import NodeConfig
from tests.mailbox.eventing import BALCONY, ROMEO, ROMEO_ORCHARD, TUNE, Stage, a_tune, refused
from tests.mailbox.world import JULIET, a_world

MOOD = "http://jabber.org/protocol/mood"


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
        stage.world.journal.call("FCALL", function("caps_keep"), 1, keys.CAPS, f"sha-1#new{number}", "\nn\n")

    assert 10_000 == stage.world.redis.hlen(keys.CAPS)
