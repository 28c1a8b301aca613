"""Several sweepers look after a dead gateway at the same time, and one of them dies over it: all is done once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from gateway.mailbox import keys, nodes
from tests.mailbox.world import World, a_world
from tests.sweeper.builders import a_chat, a_sweeper

SESSIONS = 30


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    with a_world(redis_url) as world:
        yield world


def users(count: int) -> list[str]:
    return [f"user{number}@localhost" for number in range(count)]


def reasons(world: World, user: str) -> list[str]:
    """Why an account's phone is to be woken."""
    events: Any = world.redis.xrange(keys.key(keys.prefix(user), "events"))
    return [fields[b"reason"].decode() for _, fields in events if fields[b"user"] == user.encode()]


def test_two_sweepers_and_one_that_dies_put_each_session_to_sleep_once(world: World, redis_url: str) -> None:
    phones = []
    for user in users(SESSIONS):
        world.accounts.create(user, {"scheme": "test"})
        phone = world.bind("phone", user=user)
        phone.enable()
        phone.presence()
        phone.ack_all()
        phone.register()
        world.deliver(a_chat(to=user), user=user)
        phones.append(phone)
    nodes.declare_dead(world.journal, world.node)
    with a_sweeper(redis_url) as first, a_sweeper(redis_url) as second, a_sweeper(redis_url) as third:
        dying = gevent.spawn(third.round)
        gevent.sleep(0)
        others = [gevent.spawn(sweeper.round) for sweeper in (first, second)]
        gevent.sleep(0.001)
        dying.kill()
        gevent.joinall(others, timeout=30, raise_error=True)
        first.round()

    assert ["asleep"] * SESSIONS == [phone.marks()["state"] for phone in phones]
    assert ["2"] * SESSIONS == [phone.marks()["epoch"] for phone in phones]
    assert [["hibernation"]] * SESSIONS == [reasons(world, user) for user in users(SESSIONS)]
    assert set() == nodes.declared_dead(world.journal)
