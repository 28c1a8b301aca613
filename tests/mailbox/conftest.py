"""Fixtures of the mailbox's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mailbox.eventing import ROMEO, Stage
from tests.mailbox.world import World, a_world


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    """A node with the account juliet@localhost."""
    with a_world(redis_url) as world:
        world.account()
        yield world


@pytest.fixture
def small(redis_url: str) -> Iterator[World]:
    """The same, with room for three stanzas in a queue and four that wait."""
    with a_world(redis_url, queue=3, quota=4) as world:
        world.account()
        yield world


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
