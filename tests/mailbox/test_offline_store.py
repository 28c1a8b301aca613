"""XEP-0013 in the mailbox: what waits has names that last, is looked at without going, and goes when its client says
so.
"""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from gateway.mailbox.offline_store import OfflineStore
from tests.mailbox.world import CHAT, JULIET, Client, World, a_message, a_world


def store_of(client: Client) -> OfflineStore:
    return OfflineStore(client.world.mailbox, JULIET, client.resource)


def a_visitor(world: World, *bodies: str) -> Client:
    """A device that is bound and not available; messages wait."""
    for body in bodies:
        world.deliver(a_message(body))
    return world.bind("visitor")


def nodes(store: OfflineStore) -> list[str]:
    return [node for node, _ in store.headers()]


def test_what_waits_is_counted_and_named_oldest_first(world: World) -> None:
    store = store_of(a_visitor(world, "one", "two", "three"))
    named = nodes(store)

    assert 3 == store.count() == len(set(named))
    assert [node[:13] for node in named] == sorted(node[:13] for node in named)
    assert [a_message(body) for body in ("one", "two", "three")] == [each.entry.stanza for each in store.everything()]
    assert named == [each.node for each in store.everything()]


def test_a_header_is_the_start_tag_and_nothing_behind_it(world: World) -> None:
    world.deliver(b"<message from='a@b' id='x>y' note=\"it's > that\"><body>hello</body></message>")

    assert [b"<message from='a@b' id='x>y' note=\"it's > that\">"] == [
        tag for _, tag in store_of(a_visitor(world)).headers()
    ]


def test_a_name_lasts_while_others_come_and_go(world: World) -> None:
    store = store_of(a_visitor(world, "one", "two", "three"))
    first, second, third = nodes(store)
    world.deliver(a_message("four"))
    store.remove([first])

    assert [second, third] == nodes(store)[:2]
    assert 3 == store.count()


def test_messages_of_one_moment_have_names_of_their_own(world: World) -> None:
    world.redis.rpush(
        keys.key(world.at, "offline", JULIET), "msw|1700000000000||<message><body>a</body></message>",
        "msw|1700000000000||<message><body>b</body></message>",
    )  # fmt: skip
    store = store_of(world.bind("visitor"))
    one, two = nodes(store)

    assert one != two
    assert store.remove([two])
    assert [one] == nodes(store)


def test_looking_takes_nothing_away(world: World) -> None:
    store = store_of(a_visitor(world, "one", "two"))
    first, second = nodes(store)

    looked = store.view([second, first, second])

    assert looked is not None and [second, first] == [each.node for each in looked]
    assert [a_message("two"), a_message("one")] == [each.entry.stanza for each in looked]
    assert 2 == len(world.offline())


def test_what_is_not_there_spoils_the_whole_request(world: World) -> None:
    store = store_of(a_visitor(world, "one"))
    (node,) = nodes(store)

    assert store.view([node, "1-2"]) is None
    assert not store.remove([node, "1-2"])
    assert [node] == nodes(store)


def test_a_large_store_is_read_in_pieces(world: World) -> None:
    body = "x" * 3000
    for number in range(450):
        world.deliver(a_message(f"{number} {body}"))
    store = store_of(world.bind("visitor"))
    named = nodes(store)
    looked = store.view(named)

    assert looked is not None
    assert [a_message(f"{number} {body}") for number in range(450)] == [each.entry.stanza for each in looked]
    assert named == [each.node for each in store.everything()]
    assert store.remove(named)
    assert [] == world.offline()


def test_whoever_has_looked_gets_no_flood_and_neither_do_the_others(world: World) -> None:
    visitor = a_visitor(world, "one")
    store_of(visitor).count()
    visitor.presence()
    other = world.client("other")

    assert ([], []) == (visitor.stanzas(), [each for each in other.stanzas() if b"<message" in each])
    assert [a_message("one")] == world.offline()


def test_what_comes_while_it_is_available_comes_as_usual(world: World) -> None:
    visitor = a_visitor(world, "one")
    store_of(visitor).count()
    visitor.presence()
    world.deliver(a_message("two"))

    assert [a_message("two")] == visitor.stanzas()


def test_after_that_session_the_next_one_is_flooded_again(world: World) -> None:
    visitor = a_visitor(world, "one", "two")
    store = store_of(visitor)
    store.remove(nodes(store)[:1])
    visitor.presence()
    visitor.close()
    next_one = world.bind("next")
    next_one.presence()

    assert [a_message("two")] == next_one.stanzas()


def test_a_session_asleep_does_not_keep_the_others_from_their_messages(world: World) -> None:
    visitor = a_visitor(world, "one")
    visitor.enable()
    store_of(visitor).count()
    visitor.hibernate()
    other = world.bind("other")
    other.presence()

    assert [a_message("one")] == [each for each in other.stanzas() if b"<message" in each]


def test_what_is_removed_has_its_fate_and_is_pushed_for_no_more(world: World) -> None:
    sleeper = world.bind("phone")
    sleeper.register()
    sleeper.close()
    visitor = a_visitor(world, "one", "two")
    store = store_of(visitor)
    assert ["offline"] == world.reasons()
    store.remove(nodes(store)[:1])
    half = world.hash("account", JULIET)["offline_important"]
    store.purge()

    assert "1" == half
    assert {"accepted": 2, "acked": 2} == world.fates()
    assert 0 == world.push_all()
    world.deliver(a_message("three"))
    assert ["offline"] == world.reasons()


def test_removing_twice_because_a_connection_was_lost_removes_once(world: World) -> None:
    visitor = a_visitor(world, "one", "two")
    store = store_of(visitor)
    first, _ = nodes(store)

    answers = [world.call("offline_remove", JULIET, "visitor", "r1", 0, first) for _ in range(2)]

    assert [b"ok", b"ok"] == answers
    assert (1, 1) == (store.count(), world.fates()["acked"])


def test_what_has_moved_meanwhile_is_not_taken_for_something_else(world: World) -> None:
    store = store_of(a_visitor(world, "one", "two", "three"))
    first, second, third = nodes(store)
    store.remove([first])

    assert b"moved" == world.call("offline_remove", JULIET, "visitor", "r1", 1, second)
    assert b"moved" == world.call("offline_remove", JULIET, "visitor", "r1", 0, second, 7, third)
    assert [second, third] == nodes(store)


def test_a_store_that_is_larger_than_an_operation_may_be_is_searched_to_its_end(redis_url: str) -> None:
    with a_world(redis_url, quota=3000) as world:
        world.account()
        with world.redis.pipeline() as pipe:
            for number in range(2500):
                entry = f"ms|{1700000000000 + number}||<message>{number}</message>"
                pipe.rpush(keys.key(world.at, "offline", JULIET), entry)
            pipe.execute()
        store = store_of(world.bind("visitor"))
        named = nodes(store)

        assert 2500 == len(set(named)) == store.count()
        looked = store.view([named[2499], named[0]])
        assert looked is not None and [named[2499], named[0]] == [each.node for each in looked]
        assert store.remove([named[2499], named[1200]])
        assert named[:1200] + named[1201:2499] == nodes(store)


def test_a_remainder_that_is_on_its_way_back_is_counted_too(world: World) -> None:
    phone = world.client("phone")
    for number in range(3):
        world.deliver(a_message(str(number)))
    phone.close()

    assert 3 == store_of(world.bind("visitor")).count()


@pytest.mark.parametrize("flags", [CHAT, "s"])
def test_copies_go_with_the_session_and_the_messages_stay(world: World, flags: str) -> None:
    world.deliver(a_message("one"), flags=flags)
    visitor = world.bind("visitor")
    store = store_of(visitor)
    shown = list(store.show(visitor.grip, [each.entry.stanza for each in store.everything()]))

    assert [1] == [placed.position for placed, _ in shown if placed]
    assert [a_message("one")] == visitor.stanzas()
    visitor.close()
    assert [a_message("one")] == world.offline()
    assert [] == world.outbox()
