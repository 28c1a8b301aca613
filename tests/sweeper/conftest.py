"""Fixtures of the sweeper's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mailbox.world import World, a_world
from tests.sweeper.builders import a_sweeper
from workers.sweeper.sweeper import Sweeper


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    """A node with the account juliet@localhost."""
    with a_world(redis_url) as world:
        world.account()
        yield world


@pytest.fixture
def sweeper(redis_url: str) -> Iterator[Sweeper]:
    """A sweeper with the default settings, round by round."""
    with a_sweeper(redis_url) as sweeper:
        yield sweeper
