"""Redis Streams with a consumer group: read, and take over from the dead. What is read stays pending until it is acked.

At least once: an entry that a dead worker had taken is given to another after `claim_after_s` without a sign of life,
which a living one gives with `renew`. A worker that stands still for so long may find that another did the same
meanwhile, so doing it twice must be harmless.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from gateway.telemetry import get_logger

log = get_logger(__name__)

STALE_CONSUMER_MS: Final = 3_600_000
"""A consumer without entries that has not asked for this long belongs to a process that is gone."""


@dataclass(frozen=True)
class Entry:
    """One entry of a stream, ours until it is acked."""

    stream: str
    id: str
    fields: Mapping[str, str]


class Consumer:
    """One member of a group. Blocks in its own connection, so it must not share one with anything else.

    Raises redis.RedisError when Redis cannot be asked; the next call tries again.
    """

    def __init__(self, url: str, *, streams: Sequence[str], group: str, name: str, claim_after_s: float) -> None:
        """`name` must be unique among the living members of the group."""
        self._redis: Any = redis.Redis.from_url(
            url, socket_timeout=30.0, socket_connect_timeout=5.0, decode_responses=True
        )
        self._streams = tuple(streams)
        self._group = group
        self._name = name
        self._claim_after_ms = int(claim_after_s * 1000)
        self._next_claim_at = 0.0
        self._has_group = False

    def read(self, most: int, *, block_s: float) -> Iterator[Entry]:
        """Up to `most` entries: what the dead have left, then what is new; waits at most `block_s` for it."""
        try:
            if not self._has_group:
                self._join()
            taken = list(self._claim(most))
            yield from taken
            if len(taken) < most:
                # With something in hand there is no waiting for more.
                yield from self._fresh(most - len(taken), None if taken else max(1, int(block_s * 1000)))
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            self._has_group = False  # Redis was emptied under us: the group is made again at the next call

    def renew(self, entries: Iterable[tuple[str, str]]) -> None:
        """Say that these entries, (stream, id) each, are still being worked on: a few times in `claim_after_s`."""
        by_stream: dict[str, list[str]] = {}
        for stream, entry in entries:
            by_stream.setdefault(stream, []).append(entry)
        with self._redis.pipeline(transaction=False) as pipeline:
            for stream, ids in by_stream.items():
                pipeline.xclaim(stream, self._group, self._name, 0, ids, justid=True)
            pipeline.execute()

    def leave(self) -> None:
        """Out of the group, where nothing is pending in our name; then close. At worst a name stays behind."""
        try:
            for stream in self._streams:
                if not self._redis.xpending_range(stream, self._group, "-", "+", 1, self._name):
                    self._redis.xgroup_delconsumer(stream, self._group, self._name)
        except redis.RedisError as error:
            log.info("consumer_left_its_name", consumer=self._name, error=error)
        self._redis.close()

    def _join(self) -> None:
        for stream in self._streams:
            try:
                self._redis.xgroup_create(stream, self._group, id="0", mkstream=True)
            except redis.ResponseError as error:
                # A Redis that is full does not look whether the group is there; if it is not, reading will tell.
                if not str(error).startswith(("BUSYGROUP", "OOM")):
                    raise
            self._forget_the_gone(stream)
        self._has_group = True

    def _forget_the_gone(self, stream: str) -> None:
        for consumer in self._redis.xinfo_consumers(stream, self._group):
            if consumer["pending"] == 0 and consumer["idle"] > STALE_CONSUMER_MS:
                self._redis.xgroup_delconsumer(stream, self._group, consumer["name"])

    def _fresh(self, most: int, block_ms: int | None) -> Iterator[Entry]:
        wanted = dict.fromkeys(self._streams, ">")
        # COUNT is per stream: more may come than was asked for, which the caller's bound on work in progress absorbs.
        per_stream = max(1, most // len(self._streams))
        found = self._redis.xreadgroup(self._group, self._name, wanted, count=per_stream, block=block_ms)
        for stream, entries in found or []:
            for entry_id, fields in entries:
                yield Entry(stream, entry_id, fields)

    def _claim(self, most: int) -> Iterator[Entry]:
        """Every now and then, what others have had for too long."""
        now = time.monotonic()
        if now < self._next_claim_at:
            return
        self._next_claim_at = now + self._claim_after_ms / 4000
        with self._redis.pipeline(transaction=False) as pipeline:
            for stream in self._streams:
                pipeline.xautoclaim(stream, self._group, self._name, self._claim_after_ms, count=most)
            answers = pipeline.execute()
        for stream, answer in zip(self._streams, answers, strict=True):
            for entry_id, fields in answer[1]:
                if fields:
                    log.info("entry_taken_over", stream=stream, entry=entry_id)
                    yield Entry(stream, entry_id, fields)
