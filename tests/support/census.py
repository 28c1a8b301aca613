"""The counters of fates, as they stand in Redis."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import redis

from gateway.mailbox import keys
from gateway.mailbox.embedded import socket_path


class Census:
    """One connection of a test's own to a server's embedded Redis."""

    def __init__(self, data: Path) -> None:
        self.store: Any = redis.Redis(unix_socket_path=str(socket_path(data)))

    def fates(self) -> Counter[str]:
        """How many messages had which fate, `accepted` among them."""
        total: Counter[str] = Counter()
        with self.store.pipeline(transaction=False) as pipe:
            for bucket in range(keys.BUCKETS):
                pipe.hgetall(keys.key(keys.bucket_prefix(bucket), "fates"))
            for found in pipe.execute():
                total.update({name.decode(): int(n) for name, n in found.items()})
        return total

    def waiting(self) -> int:
        """Messages that have no fate yet."""
        counted = self.fates()
        return 2 * counted["accepted"] - counted.total()
