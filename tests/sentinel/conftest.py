"""Fixtures of tests whose Redis comes back with old data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.mailbox import keys
from tests.mailbox.world import World, a_world
from tests.sentinel.old_disk import OldDisk, an_old_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[OldDisk]:
    with an_old_disk(tmp_path) as disk:
        yield disk


@pytest.fixture
def world(disk: OldDisk) -> Iterator[World]:
    with a_world(disk.server.url) as world:
        world.account()
        world.redis.hset(keys.NODES, world.node, 1)
        yield world
