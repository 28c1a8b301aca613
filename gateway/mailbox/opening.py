"""Opening the store: the journal and the notices that fit the address in [redis]. Every process begins here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.mailbox import keys
from gateway.mailbox.cluster.journal import ClusterJournal
from gateway.mailbox.cluster.notices import SlotSource
from gateway.mailbox.fence import Fence
from gateway.mailbox.journal import Journal
from gateway.mailbox.notices import Subscriber
from gateway.mailbox.replicas import role_of
from gateway.mailbox.settings import RedisSettings


def open_journal(redis: RedisSettings, data_dir: Path) -> Journal:
    """The journal for `[redis] url`; it is not started yet. Raises ConfigError for an address that cannot be meant."""
    servers = redis.servers(data_dir)
    new_fence = partial(Fence, redis.wait_replicas, redis.wait_timeout, partial(role_of, servers.server))
    if servers.kind == "cluster":
        return ClusterJournal(servers, timeout_s=redis.timeout_s, fence=new_fence if redis.wait_replicas else None)
    return Journal(servers.source(), timeout_s=redis.timeout_s, fence=new_fence() if redis.wait_replicas else None)


def open_subscriber(
    redis: RedisSettings,
    data_dir: Path,
    node: str,
    *,
    journal: Journal,
    on_entry: Callable[[str, int, bytes], None],
    on_conflict: Callable[[str, int], None],
    on_removed: Callable[[str, str], None],
    on_connected: Callable[[], None],
) -> Subscriber:
    """Who listens to the notices for `node` (see `notices.Subscriber`); it is not started yet. Raises ConfigError.

    `journal` is the process's own, which knows its way in a cluster.
    """
    return Subscriber(
        SlotSource(journal, keys.NOTICES + node)
        if isinstance(journal, ClusterJournal)
        else redis.servers(data_dir).source(),
        node,
        is_sharded=isinstance(journal, ClusterJournal),
        on_entry=on_entry,
        on_conflict=on_conflict,
        on_removed=on_removed,
        on_connected=on_connected,
        line=journal.line,
    )
