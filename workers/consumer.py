"""Redis Streams with a consumer group: read, and take over from the dead. What is read stays pending until it is acked.

At least once: an entry that a dead worker had taken is given to another after `claim_after_s` without a sign of life,
which a living one gives with `renew`. A worker that stands still for so long may find that another did the same
meanwhile, so doing it twice must be harmless.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import hiredis

from gateway.mailbox import answers, redis_url
from gateway.mailbox.dial import Part, Source, replies_to
from gateway.mailbox.errors import StoreUnavailable
from gateway.telemetry import get_logger

log = get_logger(__name__)

STALE_CONSUMER_MS: Final = 3_600_000
"""A consumer without entries that has not asked for this long belongs to a process that is gone."""

READ_S: Final = 30.0
"""how long Redis may take to answer, beyond what it was asked to wait"""


@dataclass(frozen=True)
class Entry:
    """One entry of a stream, ours until it is acked."""

    stream: str
    id: str
    fields: Mapping[str, str]


class Consuming(Protocol):
    """One member of a group. Every method raises StoreError when Redis cannot be asked; the next call tries again."""

    def read(self, most: int, *, block_s: float) -> Iterator[Entry]:
        """Up to about `most` entries: what the dead have left, then what is new; waits at most `block_s` for it."""

    def renew(self, entries: Iterable[tuple[str, str]]) -> None:
        """Say that these entries, (stream, id) each, are still being worked on: a few times in `claim_after_s`."""

    def leave(self) -> None:
        """Out of the group, where nothing is pending in our name; then close. At worst a name stays behind."""


@dataclass(frozen=True, slots=True)
class Member:
    """A name in a group; unique among its living members. It says the commands of the group, and reads their answers.

    `claim_after_s`: whose entries got no sign of life for so long loses them.
    """

    group: str
    name: str
    claim_after_s: float

    @property
    def claim_after_ms(self) -> int:
        """The same in milliseconds."""
        return int(self.claim_after_s * 1000)

    def join(self, stream: str) -> tuple[Part, ...]:
        """Make the group, if it is not there; forget those of its members who are gone."""
        return ("EVAL", _JOIN, 1, stream, self.group, STALE_CONSUMER_MS)

    def leave(self, stream: str) -> tuple[Part, ...]:
        """Out of the group, unless something is pending in our name."""
        return ("EVAL", _LEAVE, 1, stream, self.group, self.name)

    def claim(self, stream: str, most: int) -> tuple[Part, ...]:
        """What others have had for too long."""
        return ("XAUTOCLAIM", stream, self.group, self.name, self.claim_after_ms, "0-0", "COUNT", most)

    def renew(self, stream: str, ids: Sequence[str]) -> tuple[Part, ...]:
        """Entries are still being worked on."""
        return ("XCLAIM", stream, self.group, self.name, 0, *ids, "JUSTID")

    def fresh(self, streams: Sequence[str], most: int, block_ms: int | None) -> tuple[Part, ...]:
        """Up to `most` new entries of each stream; `block_ms` None: without waiting."""
        wait: tuple[Part, ...] = () if block_ms is None else ("BLOCK", block_ms)
        after = (">",) * len(streams)
        return ("XREADGROUP", "GROUP", self.group, self.name, "COUNT", most, *wait, "STREAMS", *streams, *after)


# A Redis that is full does not look whether the group is there; if it is not, reading will tell.
_JOIN: Final = """\
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.match(made.err, '^BUSYGROUP') and not string.match(made.err, '^OOM') then return made end
local members = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if members.err then return 0 end
for _, flat in ipairs(members) do
  local member = {}
  for i = 1, #flat, 2 do member[flat[i]] = flat[i + 1] end
  if member.pending == 0 and member.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], member.name)
  end
end
return 1
"""

_LEAVE: Final = """\
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if pending.err or #pending > 0 then return 0 end
return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
"""


def is_without_group(reply: Any) -> bool:
    """Redis was emptied under us: the group has to be made again."""
    return isinstance(reply, Exception) and str(reply).startswith("NOGROUP")


def entries_of(stream: str, raw: Iterable[Any]) -> Iterator[Entry]:
    """Entries as Redis answers them; those that were deleted meanwhile have no fields, and are nobody's."""
    for entry_id, flat in raw:
        if flat:
            texts = [part.decode() for part in flat]
            yield Entry(stream, entry_id.decode(), dict(zip(texts[::2], texts[1::2], strict=True)))


def by_stream(entries: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The ids of entries, by their stream."""
    found: dict[str, list[str]] = {}
    for stream, entry in entries:
        found.setdefault(stream, []).append(entry)
    return found


class _Line:
    """A connection that is made when it is needed, and again after it was lost."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._connection: socket.socket | None = None

    def ask(self, commands: Sequence[tuple[Part, ...]]) -> list[Any]:
        """Their replies; what Redis refuses is a ReplyError among them. Raises StoreUnavailable."""
        try:
            if self._connection is None:
                self._connection = self._source.dial(READ_S)
            replies = replies_to(self._connection, commands)
            for reply in replies:
                answers.check(reply)
        except BaseException as lost:
            self.close()
            if isinstance(lost, OSError | hiredis.HiredisError):
                raise StoreUnavailable(str(lost)) from lost
            raise
        return replies

    def close(self) -> None:
        """Until the next question."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Consumer:
    """See `Consuming`: of streams that lie on one server. It waits in a connection of its own."""

    def __init__(
        self, source: str | Source, *, streams: Sequence[str], group: str, name: str, claim_after_s: float
    ) -> None:
        """`source`: as for a journal. `name` must be unique among the living members of the group."""
        source = redis_url.source(source)
        self._waiting, self._asking = _Line(source), _Line(source)
        self._streams = tuple(streams)
        self._member = Member(group, name, claim_after_s)
        self._next_claim_at = 0.0
        self._has_group = False

    def read(self, most: int, *, block_s: float) -> Iterator[Entry]:
        """See Consuming."""
        if not self._has_group:
            self._checked(self._waiting.ask([self._member.join(stream) for stream in self._streams]))
            self._has_group = True
        taken = list(self._claim(most))
        yield from taken
        if len(taken) < most:
            # With something in hand there is no waiting for more.
            yield from self._fresh(most - len(taken), None if taken else max(1, int(block_s * 1000)))

    def renew(self, entries: Iterable[tuple[str, str]]) -> None:
        """See Consuming."""
        commands = [self._member.renew(stream, ids) for stream, ids in by_stream(entries).items()]
        self._checked(self._asking.ask(commands))

    def leave(self) -> None:
        """See Consuming."""
        try:
            self._asking.ask([self._member.leave(stream) for stream in self._streams])
        except StoreUnavailable as error:
            log.info("consumer_left_its_name", consumer=self._member.name, error=str(error))
        self._asking.close()
        self._waiting.close()

    def _fresh(self, most: int, block_ms: int | None) -> Iterator[Entry]:
        # COUNT is per stream: more may come than was asked for, which the caller's bound on work in progress absorbs.
        per_stream = max(1, most // len(self._streams))
        replies = self._waiting.ask([self._member.fresh(self._streams, per_stream, block_ms)])
        if self._checked(replies):
            for stream, raw in replies[0] or ():
                yield from entries_of(stream.decode(), raw)

    def _claim(self, most: int) -> Iterator[Entry]:
        """Every now and then, what others have had for too long."""
        now = time.monotonic()
        if now < self._next_claim_at:
            return
        self._next_claim_at = now + self._member.claim_after_s / 4
        replies = self._waiting.ask([self._member.claim(stream, most) for stream in self._streams])
        if not self._checked(replies):
            return
        for stream, reply in zip(self._streams, replies, strict=True):
            for entry in entries_of(stream, reply[1]):
                log.info("entry_taken_over", stream=stream, entry=entry.id)
                yield entry

    def _checked(self, replies: Sequence[Any]) -> bool:
        """Whether there is a group. Raises StoreError for what Redis refuses otherwise."""
        if any(map(is_without_group, replies)):
            self._has_group = False
        else:
            for reply in replies:
                if isinstance(reply, Exception):
                    raise answers.value_of(reply)
        return self._has_group or not replies
