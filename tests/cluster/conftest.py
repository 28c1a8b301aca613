"""One cluster for all tests here, three masters with a replica each; every test leaves it in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.mailbox.cluster.journal import ClusterJournal
from gateway.mailbox.opening import open_journal
from gateway.mailbox.settings import RedisSettings
from tests.support.redis_cluster import RedisCluster

WAIT_S = 60.0


@pytest.fixture(scope="session")
def the_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("cluster"), tls=True, acl=True) as cluster:
        yield cluster


@pytest.fixture
def cluster(the_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """In order, empty, and in order again afterwards."""
    for part in range(the_cluster.masters):
        client = the_cluster.client(part)
        client.flushall()
        client.close()
    yield the_cluster
    the_cluster.resume()
    for node in the_cluster.nodes:
        if not node.is_alive:
            the_cluster.restart(node)
    the_cluster.wait_ok()
    the_cluster.wait_in_sync()


def settings_of(cluster: RedisCluster) -> dict[str, object]:
    """[redis] for it: TLS, and a user that may do what docs/operations.md says and no more."""
    return {"url": cluster.url, "tls_ca_file": str(cluster.certificate)}


@contextmanager
def a_journal(cluster: RedisCluster, *, replicas: int = 0) -> Iterator[ClusterJournal]:
    """`replicas` have to have what is answered."""
    settings = RedisSettings(url=cluster.url, tls_ca_file=str(cluster.certificate), wait_replicas=replicas)
    made = open_journal(settings, Path())
    assert isinstance(made, ClusterJournal)
    made.start()
    made.wait_up(WAIT_S)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def journal(cluster: RedisCluster) -> Iterator[ClusterJournal]:
    with a_journal(cluster) as journal:
        yield journal
