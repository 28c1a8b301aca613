"""XEP-0492 in bookmarks: what the account wants of chats comes with the claim of a push."""

from __future__ import annotations

import pytest

from gateway.mailbox.pushes import Send
from gateway.xmpp import ns
from tests.mailbox.eventing import Stage
from tests.mailbox.world import JULIET, World

ROOM, FRIEND = "play@rooms.localhost", "romeo@localhost"


def a_bookmark(setting: str, padding: int = 0) -> bytes:
    return (
        f"<conference xmlns='{ns.BOOKMARKS}' name='{'x' * padding}'><extensions>"
        f"<notify xmlns='{ns.NOTIFY}'><{setting}/></notify></extensions></conference>"
    ).encode()


def told_of(world: World, *senders: str) -> Send:
    """What a worker is told of messages from these senders that wait for a sleeping phone."""
    phone = world.client()
    phone.register()
    phone.hibernate()
    for sender in senders:
        world.deliver(f"<message from='{sender}'><body>hi</body></message>".encode(), sender=sender)
    claimed = world.claim()
    assert isinstance(claimed, Send), claimed
    return claimed


def bookmarked(stage: Stage, chat: str, setting: str = "never", padding: int = 0) -> None:
    stage.publish(ns.BOOKMARKS, chat, a_bookmark(setting, padding), max_items=0, persist_items=True)


def test_the_bookmarks_of_those_who_wrote_come_with_the_claim(stage: Stage) -> None:
    bookmarked(stage, ROOM)
    bookmarked(stage, FRIEND, "on-mention")
    bookmarked(stage, "other@rooms.localhost")

    claimed = told_of(stage.world, f"{ROOM}/nick", f"{FRIEND}/orchard", f"{ROOM}/other", "nurse@localhost/x")

    assert {ROOM, FRIEND} == set(claimed.rules)
    assert a_bookmark("never") in claimed.rules[ROOM]
    assert a_bookmark("on-mention") in claimed.rules[FRIEND]


def test_an_account_without_bookmarks_has_no_rules(stage: Stage) -> None:
    assert {} == told_of(stage.world, f"{FRIEND}/orchard").rules


@pytest.mark.parametrize("how", ["retracted", "purged", "deleted"])
def test_a_rule_ends_with_its_bookmark_however_that_went(stage: Stage, how: str) -> None:
    bookmarked(stage, ROOM)

    if how == "retracted":
        stage.pubsubs.retract(JULIET, ns.BOOKMARKS, ROOM, notify=False)
    else:
        stage.pubsubs.empty(JULIET, ns.BOOKMARKS, "purge" if how == "purged" else "delete")

    assert {} == told_of(stage.world, f"{ROOM}/nick").rules


def test_a_bookmark_larger_than_any_client_publishes_is_left_out(stage: Stage) -> None:
    bookmarked(stage, ROOM, padding=17_000)

    assert {} == told_of(stage.world, f"{ROOM}/nick").rules
