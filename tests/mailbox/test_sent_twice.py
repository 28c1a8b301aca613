"""Every operation sent twice with the same arguments, as the journal does after a lost connection: what it did is done
once, and the second answer tells the caller what it needs.

Each registered operation has a row in twice.py. What may differ after the second time is said there, with its reason.
"""

from __future__ import annotations

import json
import re

import pytest

from gateway.mailbox import keys, library
from tests.mailbox.eventing import TUNE
from tests.mailbox.full_mailbox import LIMITS, Scene
from tests.mailbox.people import ROMEO
from tests.mailbox.twice import BLOCK_PUSH, ORCHARD, ROWS, P
from tests.mailbox.world import JULIET, World, a_message


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


A_LIFE = names("bind enable presence register deliver append handled hibernate peek resume ack close read create")
"""sent twice over a line that breaks: test_journal.py, test_every_operation_may_be_sent_twice; test_accounts.py"""

ONLY_READS = names(
    """
    archive_page archive_find archive_ends archive_prefs archive_due archive_nth archive_removed audience farewells
    shown roster does_block visibility pubsub_standing pubsub_audience pubsub_node pubsub_nodes pubsub_items
    pubsub_subscriptions pubsub_affiliations pubsub_last pubsub_eager pubsub_sources seen last_activity avatar_told
    vcard_shown sessions census unread invite_look credentials standing attendance tails outbox offline_find fade
    push_state transfers memory
    """
)
"""change nothing: a row shows that they do not"""

PUSH_WORKER = names("claim pushed retry done unregister replay background trace")
"""sent by push workers: test_push_sent_twice.py; their answers are about what is left to do"""


def registered() -> set[str]:
    return set(re.findall(r"^ *register\('(\w+)'", library.source(), re.MULTILINE))


def test_no_operation_is_left_out() -> None:
    assert registered() - PUSH_WORKER - A_LIFE == set(ROWS)
    assert set(ROWS) >= ONLY_READS


@pytest.mark.parametrize("operation", sorted(ROWS))
def test_the_second_time_changes_nothing(world: World, operation: str) -> None:
    it = ROWS[operation]
    scene = Scene(world)
    arguments = it.arguments(scene)
    before = scene.content()
    first = scene.call(operation, *arguments, at=it.at, sender_at=it.sender_at)
    once = scene.content()
    second = scene.call(operation, *arguments, at=it.at, sender_at=it.sender_at)
    twice = scene.content()

    differing = {" ".join(name) for name in once.keys() | twice.keys() if once.get(name) != twice.get(name)}
    assert set() == {name for name in differing if not it.differs or not re.search(it.differs, name)}
    assert it.changes == (before != once)
    if callable(it.second):
        assert it.second(first, second), (first, second)
    else:
        assert (first if it.second == "the same" else it.second) == second


def test_of_several_that_come_again_none_looks_new(world: World) -> None:
    """The mark of what a process has sent only rises."""
    scene = Scene(world)
    scene.stage.wants(scene.phone, TUNE)
    scene.phone.ack_all()
    events = [
        ("pubsub_notify", "@process", serial, JULIET, ROMEO, ROMEO, TUNE, "i", str(serial), "headline", "e", "<items/>",
         "", *LIMITS) for serial in (1, 2, 3)
    ]  # fmt: skip
    for event in events * 2:
        scene.call(*event)

    assert 3 == len(scene.phone.read())


def test_a_purge_that_comes_again_takes_nothing_that_came_since(world: World) -> None:
    scene = Scene(world)
    scene.stored()
    scene.call("offline_purge", JULIET, "phone", "r1", *LIMITS)
    world.deliver(a_message("late"))
    scene.call("offline_purge", JULIET, "phone", "r1", *LIMITS)

    assert [a_message("late")] == world.offline()


@pytest.mark.parametrize("how", ["purged", "expired"])
def test_what_happens_to_items_does_not_bring_a_disabled_account_back(world: World, how: str) -> None:
    scene = Scene(world)
    options = {"purge_offline": True} if how == "purged" else {"item_expire": 1}
    scene.call("pubsub_configure", "@other", 1, JULIET, JULIET, TUNE, json.dumps(options), "", "e", 10, *LIMITS)
    scene.call("disable", JULIET, "", "if_offline", *LIMITS, 10)
    if how == "purged":
        scene.call("pubsub_gone", JULIET, "")
    else:
        for name, value in world.hash("node_items", JULIET, TUNE).items():  # published long ago
            if name:
                aged = "1|" + value.partition("|")[2]
                world.redis.hset(keys.key(world.at, "node_items", JULIET, TUNE), name, aged)
    seen = scene.call("meet", JULIET, ORCHARD, ROMEO, "", "1", f"\n{TUNE}\n", "", *LIMITS)

    assert [] == seen[3]
    assert not world.redis.exists(keys.key(world.at, "account", JULIET))


def test_what_another_device_did_meanwhile_stays(world: World) -> None:
    """A block, a purge and a change of a node that come again do not undo what came after them."""
    scene = Scene(world)
    grip = (*scene.grip, "r1")
    empty = ("pubsub_empty", *P, JULIET, JULIET, TUNE, "purge", "<purge/>", "e", *LIMITS)
    configure = ("pubsub_configure", "@third", 1, JULIET, JULIET, TUNE, '{"max_items": 2}', "", "e", 10, *LIMITS)
    block = ("block", JULIET, *grip, BLOCK_PUSH, 100, *LIMITS, "friar@localhost")
    for operation in (empty, configure, block):
        scene.call(*operation)
    scene.stage.publish(item="newer")
    scene.call("pubsub_configure", "@fourth", 1, JULIET, JULIET, TUNE, '{"max_items": 5}', "", "e", 10, *LIMITS)
    tablet = (scene.tablet.sid, scene.tablet.grip.epoch, "r2", "<unblock xmlns='urn:xmpp:blocking'/>")
    scene.call("unblock", JULIET, *tablet, *LIMITS, "friar@localhost")
    for operation in (empty, configure, block):
        scene.call(*operation)

    assert ["newer"] == scene.stage.ids()
    assert 5 == json.loads(world.hash("nodes", JULIET)[TUNE])["max_items"]
    assert not world.redis.exists(keys.key(world.at, "blocked", JULIET))
