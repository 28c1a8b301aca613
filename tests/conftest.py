"""Fixtures for all tests. Everything runs patched by gevent, as the server does."""

from __future__ import annotations

import os
from collections.abc import Iterator

from gevent import monkey

monkey.patch_all()

import pytest  # noqa: E402 - these take locks and sockets from modules that must be patched by then
import redis  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from gateway.mailbox.embedded import EmbeddedServer  # noqa: E402

# No test depends on how busy the machine is. `WAKEGATE_EXAMPLES`: how much is tried where a test does not say it.
settings.register_profile(
    "patient",
    deadline=None,
    max_examples=int(os.environ.get("WAKEGATE_EXAMPLES", "25")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One real server for the whole run."""
    server = EmbeddedServer(tmp_path_factory.mktemp("redis"), appendfsync="no")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: EmbeddedServer) -> str:
    """The address of that server, empty."""
    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    client.close()
    return redis_server.url
