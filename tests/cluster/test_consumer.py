"""Push events on a cluster: read from all slots at once, taken over from the dead, and not held up by one slot."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.mailbox import keys
from gateway.mailbox.cluster.journal import ClusterJournal
from gateway.mailbox.cluster.slots import slot_of
from gateway.mailbox.keys import CONSUMER_GROUP
from gateway.mailbox.pushes import STREAMS
from tests.support.pieces import eventually
from tests.support.redis_cluster import RedisCluster
from workers.cluster_consumer import ClusterConsumer
from workers.consumer import Entry

FIRST = next(iter(STREAMS))


def a_consumer(journal: ClusterJournal, name: str, *, claim_after_s: float = 60.0) -> ClusterConsumer:
    return ClusterConsumer(
        journal, streams=tuple(STREAMS), group=CONSUMER_GROUP, name=name, claim_after_s=claim_after_s
    )


def raised(journal: ClusterJournal, *streams: str) -> set[tuple[str, str]]:
    return {(stream, journal.call("XADD", stream, "*", "user", stream).decode()) for stream in streams}


def names(entries: list[Entry]) -> set[tuple[str, str]]:
    return {(entry.stream, entry.id) for entry in entries}


def read_until(consumer: ClusterConsumer, enough: Callable[[list[Entry]], bool]) -> list[Entry]:
    found: list[Entry] = []

    def look() -> bool:
        found.extend(consumer.read(100, block_s=0.2))
        return enough(found)

    eventually(look, "entries")
    return found


def test_events_of_all_slots_are_read_soon_and_once(cluster: RedisCluster, journal: ClusterJournal) -> None:
    one, other = a_consumer(journal, "one"), a_consumer(journal, "other")
    assert [] == [*one.read(100, block_s=0.3), *other.read(100, block_s=0.3)]
    wanted = raised(journal, *STREAMS)
    began = time.monotonic()
    found = read_until(one, lambda entries: len(entries) == len(wanted))
    took_s = time.monotonic() - began
    rest = list(other.read(100, block_s=0.3))

    assert wanted == names(found)
    assert {stream: {"user": stream} for stream in STREAMS} == {entry.stream: entry.fields for entry in found}
    assert took_s < 5.0
    assert [] == rest


def test_what_a_dead_one_has_left_is_taken_over_but_not_what_is_renewed(journal: ClusterJournal) -> None:
    dead, heir = a_consumer(journal, "dead"), a_consumer(journal, "heir", claim_after_s=0.3)
    raised(journal, FIRST, list(STREAMS)[1])
    lost, kept = sorted(read_until(dead, lambda entries: len(entries) == 2), key=lambda entry: entry.stream != FIRST)

    def look() -> bool:
        dead.renew([(kept.stream, kept.id)])
        taken.extend(heir.read(100, block_s=0.05))
        return bool(taken)

    taken: list[Entry] = []
    eventually(look, "the entry to be taken over")
    for _ in range(8):
        look()

    assert names([lost]) == names(taken)


def test_who_leaves_is_forgotten_unless_something_is_pending(journal: ClusterJournal) -> None:
    busy, idle = a_consumer(journal, "busy"), a_consumer(journal, "idle")
    raised(journal, FIRST)
    read_until(busy, lambda entries: len(entries) == 1)
    list(idle.read(1, block_s=0.3))
    idle.leave()
    busy.leave()

    assert [b"busy"] == [flat[1] for flat in journal.call("XINFO", "CONSUMERS", FIRST, CONSUMER_GROUP)]


def test_an_emptied_redis_gets_its_groups_again(cluster: RedisCluster, journal: ClusterJournal) -> None:
    consumer = a_consumer(journal, "one")
    list(consumer.read(100, block_s=0.3))
    for part in range(cluster.masters):
        client = cluster.client(part)
        client.flushall()
        client.close()
    wanted = raised(journal, FIRST)

    assert wanted == names(read_until(consumer, bool))


def test_a_slot_that_moves_holds_up_no_other(cluster: RedisCluster, journal: ClusterJournal) -> None:
    consumer = a_consumer(journal, "one")
    here = next(stream for stream in STREAMS if slot_of(stream) in cluster.part(0))
    other = next(stream for stream in STREAMS if slot_of(stream) in cluster.part(2))
    list(consumer.read(100, block_s=0.3))
    source, target = cluster.client(0), cluster.client(1)
    slot = slot_of(here)
    ids = {part: cluster.master(part).id for part in (0, 1)}
    target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    journal.submit(lambda _reply: None, "SET", keys.bucket_prefix(STREAMS[here]) + "new", "x")
    wanted = raised(journal, other)
    found = read_until(consumer, bool)
    source.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
    target.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
    more = raised(journal, here)
    later = read_until(consumer, bool)
    source.close()
    target.close()

    assert (wanted, more) == (names(found), names(later))
