"""Notices on a cluster: sharded pub/sub, followed when the channel's slot moves or its master dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.mailbox import keys
from gateway.mailbox.cluster.journal import ClusterJournal
from gateway.mailbox.cluster.slots import slot_of
from gateway.mailbox.notices import publish_conflict
from gateway.mailbox.opening import open_subscriber
from gateway.mailbox.settings import RedisSettings
from tests.support.pieces import eventually
from tests.support.redis_cluster import RedisCluster

NODE = "n1"


class Ear:
    """What the subscriber of one node heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.connected = 0

    def note_connection(self) -> None:
        self.connected += 1

    def hears(self, journal: ClusterJournal, name: str) -> None:
        """Said again and again: a notice may be lost while its channel moves."""

        def look() -> bool:
            publish_conflict(journal, NODE, name, 1)
            return name in self.heard

        eventually(look, f"notice {name}, heard {self.heard}")


@contextmanager
def an_ear(journal: ClusterJournal, cluster: RedisCluster) -> Iterator[Ear]:
    ear = Ear()
    settings = RedisSettings(url=cluster.url, tls_ca_file=str(cluster.certificate))
    subscriber = open_subscriber(
        settings, Path(), NODE, journal=journal, on_entry=lambda *_: None, on_removed=lambda *_: None,
        on_conflict=lambda sid, _epoch: ear.heard.append(sid), on_connected=ear.note_connection,
    )  # fmt: skip
    subscriber.start()
    eventually(lambda: ear.connected == 1, "the subscription")
    yield ear
    subscriber.stop()


def test_notices_are_heard_and_followed_where_their_slot_goes(cluster: RedisCluster, journal: ClusterJournal) -> None:
    slot = slot_of(keys.NOTICES + NODE)
    home = next(part for part in range(3) if slot in cluster.part(part))
    with an_ear(journal, cluster) as ear:
        ear.hears(journal, "first")
        cluster.migrate(slot, (home + 1) % 3)
        eventually(lambda: ear.connected == 2, "another subscription")
        ear.hears(journal, "moved")
        cluster.migrate(slot, home)
        eventually(lambda: ear.connected == 3, "another subscription")
        cluster.fail_over(home)
        eventually(lambda: ear.connected >= 4, "another subscription")
        ear.hears(journal, "failed-over")

    assert ["first", "moved", "failed-over"] == list(dict.fromkeys(ear.heard))
