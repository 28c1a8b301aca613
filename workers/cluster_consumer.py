"""A consumer group's streams on a Redis Cluster, where each lies in a slot of its own.

One command can wait for several streams only within a slot, so one member would need a waiting connection for each.
Instead every stream is asked, without waiting, through the process's journal: ten times a second while nothing comes,
at once again where something came. A slot that moves, or whose master has died, delays its own stream only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from gevent.event import Event

from gateway.mailbox.dial import Part
from gateway.mailbox.errors import StoreError
from gateway.mailbox.journal import Journal
from gateway.telemetry import get_logger
from workers.consumer import Entry, Member, by_stream, entries_of, is_without_group

log = get_logger(__name__)

LOOK_S: Final = 0.1
"""how often a stream is asked in which nothing was"""

LEAVE_S: Final = 1.0


@dataclass(slots=True, eq=False)
class _Feed:
    """What is known of one stream; at most one question to it is under way."""

    stream: str
    is_asked: bool = False
    has_group: bool = False
    is_renewing: bool = False
    ask_at: float = 0.0
    claim_at: float = 0.0


class ClusterConsumer:
    """See `consumer.Consuming`. `journal` is the process's own, which keeps trying: StoreError is not raised."""

    def __init__(
        self, journal: Journal, *, streams: Sequence[str], group: str, name: str, claim_after_s: float
    ) -> None:
        """`name` must be unique among the living members of the group."""
        self._journal = journal
        self._member = Member(group, name, claim_after_s)
        self._feeds = [_Feed(stream) for stream in streams]
        self._come: deque[tuple[float, Entry]] = deque()
        self._news = Event()

    def read(self, most: int, *, block_s: float) -> Iterator[Entry]:
        """See Consuming."""
        deadline = time.monotonic() + block_s
        while not (found := self._taken(most)):
            self._ask(max(1, most // len(self._feeds)))
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            self._news.wait(min(left_s, LOOK_S))
            self._news.clear()
        yield from found

    def renew(self, entries: Iterable[tuple[str, str]]) -> None:
        """See Consuming."""
        feeds = {feed.stream: feed for feed in self._feeds}
        for stream, ids in by_stream(entries).items():
            feed = feeds[stream]
            if not feed.is_renewing:
                feed.is_renewing = True
                self._journal.submit(partial(self._renewed, feed), *self._member.renew(stream, ids))

    def leave(self) -> None:
        """See Consuming."""
        commands = [self._member.leave(feed.stream) for feed in self._feeds]
        try:
            self._journal.call_all(commands, timeout_s=LEAVE_S)
        except StoreError as error:
            log.info("consumer_left_its_name", consumer=self._member.name, error=str(error))

    def _taken(self, most: int) -> list[Entry]:
        """Of what has come, without what waited here for so long that others are about to take it over."""
        oldest = time.monotonic() - self._member.claim_after_s / 2
        found: list[Entry] = []
        while self._come and len(found) < most:
            at, entry = self._come.popleft()
            if at > oldest:
                found.append(entry)
        return found

    def _ask(self, most: int) -> None:
        """Every stream of which it is time, unless a question to it has no answer yet."""
        now = time.monotonic()
        for feed in self._feeds:
            if feed.is_asked or now < feed.ask_at:
                continue
            feed.is_asked = True
            feed.ask_at = now + LOOK_S
            if not feed.has_group:
                self._submit(feed, self._joined, self._member.join(feed.stream))
            elif now >= feed.claim_at:
                feed.claim_at = now + self._member.claim_after_s / 4
                self._submit(feed, self._claimed, self._member.claim(feed.stream, most))
            else:
                self._submit(feed, self._read, self._member.fresh((feed.stream,), most, None))

    def _submit(self, feed: _Feed, answered: Any, command: tuple[Part, ...]) -> None:
        self._journal.submit(partial(answered, feed), *command)

    # Answers

    def _joined(self, feed: _Feed, reply: Any) -> None:
        feed.has_group = not isinstance(reply, Exception)
        self._goes_on(feed, at_once=feed.has_group)

    def _claimed(self, feed: _Feed, reply: Any) -> None:
        if not self._is_refused(feed, reply):
            for entry in entries_of(feed.stream, reply[1]):
                log.info("entry_taken_over", stream=feed.stream, entry=entry.id)
                self._come.append((time.monotonic(), entry))
            self._goes_on(feed, at_once=True)

    def _read(self, feed: _Feed, reply: Any) -> None:
        if not self._is_refused(feed, reply):
            for stream, raw in reply or ():
                self._come.extend((time.monotonic(), entry) for entry in entries_of(stream.decode(), raw))
            self._goes_on(feed, at_once=bool(reply))

    def _renewed(self, feed: _Feed, reply: Any) -> None:
        feed.is_renewing = False
        if isinstance(reply, Exception):
            log.warning("entries_not_renewed", stream=feed.stream, error=str(reply))

    def _is_refused(self, feed: _Feed, reply: Any) -> bool:
        if not isinstance(reply, Exception):
            return False
        feed.has_group = feed.has_group and not is_without_group(reply)
        log.warning("stream_unreadable", stream=feed.stream, error=str(reply))
        self._goes_on(feed, at_once=False)
        return True

    def _goes_on(self, feed: _Feed, *, at_once: bool) -> None:
        feed.is_asked = False
        if at_once:
            feed.ask_at = 0.0
            self._news.set()
