"""Fixtures of the mailbox's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
