"""A device that has copies on, but has not said yet that it is there.

What it has as a copy does not come again when the device that had the message leaves without reading it.
"""

from __future__ import annotations

import pytest

from gateway.mailbox import entry
from tests.mailbox.world import JULIET, Client, World, a_message, a_world

COPIED = "swbac"


def give(world: World, *names: str, flags: str = COPIED) -> None:
    for name in names:
        world.deliver(a_message(name), flags=flags)


def quiet(world: World, resource: str = "quiet", *, priority: int | None = None) -> Client:
    """A device with copies on that takes no messages yet."""
    client = world.client(resource, priority=priority)
    client.carbons()
    return client


def fresh(world: World, resource: str) -> Client:
    """A device that has just become available, and has acknowledged nothing."""
    client = world.bind(resource)
    client.enable()
    client.presence()
    return client


def seen(client: Client) -> list[str]:
    """Kind and text of each message in the queue."""
    found = [each for each in client.read() if b"<body>" in each.stanza]
    return [f"{each.kind} {each.stanza.split(b'body>')[1][:-2].decode()}" for each in found]


@pytest.mark.parametrize("priority", [None, -1], ids=["no presence", "negative priority"])
@pytest.mark.parametrize("is_acked", [True, False])
def test_what_was_read_as_a_copy_does_not_come_again(world: World, priority: int | None, is_acked: bool) -> None:
    phone, laptop = world.client("phone"), quiet(world, priority=priority)
    give(world, "0", "1")
    if is_acked:
        laptop.ack_all()
    phone.close()
    give(world, "2")
    laptop.presence()

    assert (["m 2"] if is_acked else ["m 0", "m 1", "m 2"]) == seen(laptop)
    assert [] == world.offline()
    laptop.ack_all()
    assert {"accepted": 3, "acked": 3} == world.fates()


def test_a_device_that_begins_a_new_session_has_what_it_acknowledged_in_the_old_one(world: World) -> None:
    phone, laptop = world.client("phone"), quiet(world)
    give(world, "0", "1")
    laptop.ack(1)
    laptop = world.bind("quiet")
    phone.close()
    laptop.presence()

    assert ["m 1"] == seen(laptop)


def test_a_copy_that_became_the_message_is_kept_for_the_next_device(world: World) -> None:
    phone, laptop = world.client("phone"), quiet(world)
    give(world, "0")
    phone.close()
    laptop.presence()
    laptop.close()
    (waiting,) = world.offline()

    assert b"<body>0</body>" in waiting
    assert b"forwarded" not in waiting
    assert ["m 0"] == seen(fresh(world, "tablet"))


def test_of_what_is_not_archived_only_the_copy_that_waits_is_known(world: World) -> None:
    phone, laptop = world.client("phone"), quiet(world)
    give(world, "0", "1", flags="swbc")
    laptop.ack(1)
    remembered = laptop.marks().get("copied")
    phone.close()
    laptop.presence()

    assert ["m 1", "m 0"] == seen(laptop)
    assert remembered is None


def test_another_device_gets_what_the_first_has_a_copy_of(world: World) -> None:
    phone, laptop = world.client("phone"), quiet(world)
    give(world, "0")
    laptop.ack_all()
    phone.close()
    tablet = fresh(world, "tablet")

    assert ["m 0"] == seen(tablet)
    laptop.presence()
    assert [] == seen(laptop)


def test_who_looked_into_the_archive_gets_no_second_copy(world: World) -> None:
    """A device that looked is given a copy of what another takes from the offline store: unless it has one."""
    phone, laptop = world.client("phone"), quiet(world)
    laptop.shown("0-0", "1-0")
    give(world, "0", "1")
    laptop.ack(1)
    phone.close()
    tablet = fresh(world, "tablet")

    assert ["m 0", "m 1"] == seen(tablet)
    assert ["c 1"] == seen(laptop)


def test_copies_that_wait_for_room_become_messages_as_well(redis_url: str) -> None:
    with a_world(redis_url, queue=3) as world:
        world.account()
        phone, laptop = world.client("phone"), quiet(world)
        give(world, *"01234")
        phone.close()
        laptop.presence()

        assert [f"m {n}" for n in range(5)] == laptop.all_that(seen)


def test_only_the_newest_acknowledged_copies_are_remembered(world: World) -> None:
    phone, laptop = world.client("phone"), quiet(world)
    for _ in range(3):
        give(world, *map(str, range(60)))
        laptop.ack_all()
        phone.ack_all()

    assert len(laptop.marks()["copied"]) <= 2000


def test_the_phone_is_woken_for_the_next_message_behind_those_that_were_read(world: World) -> None:
    """What it was told of is gone from the offline store: it must not cover what comes later."""
    phone, laptop = world.client("phone"), quiet(world)
    phone.register()
    give(world, "0", "1", "2")
    laptop.ack_all()
    phone.close()
    assert 1 == world.push_all()
    laptop.presence()
    laptop.close()
    give(world, "3")

    assert 1 == world.push_all()


def test_a_copy_is_late_as_what_waited_offline_is(world: World) -> None:
    phone, laptop = world.client("phone"), quiet(world)
    give(world, "0")
    phone.close()
    laptop.presence()

    assert [True] == [entry.DELAYED in each.flags for each in laptop.read() if each.kind == entry.MESSAGE]
    assert JULIET.encode() in laptop.stanzas()[0]
