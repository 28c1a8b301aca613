"""The push worker's side of the mailbox: events, claims, outcomes, retries, dead letters.

An event says that something important lies beyond the cursor of a device that is not consuming. It stands on its
bucket's stream until every registration it concerns has an outcome. Whether it is still true is asked at the last
moment (`claim`), in the same atomic step that records the attempt.

    stream entry {user, sid, reason, gen, class, at [, id, only, attempt]}     the last three: one registration's retry
        -> claim -> Send | Later (back on the stream by itself when due) | Cancelled
        -> per registration: outcome(...) or retry(...)
        -> done(...)
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.entry import decode
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.push_model import (
    Cancelled,
    Decision,
    Event,
    Filters,
    Later,
    Registration,
    Send,
    Told,
    Waiting,
    bucket_of_push,
    push_id,
)

__all__ = [
    "STREAMS",
    "Cancelled",
    "Decision",
    "Event",
    "Filters",
    "Later",
    "Pushes",
    "Registration",
    "Send",
    "Told",
    "Waiting",
    "push_id",
    "stream",
]


def stream(bucket: int) -> str:
    """The key of a bucket's event stream."""
    return keys.key(keys.bucket_prefix(bucket), "events")


STREAMS: dict[str, int] = {stream(bucket): bucket for bucket in range(keys.BUCKETS)}
"""every event stream -> its bucket"""


LETTERS: Final = 100_000
"""dead letters that are kept, about"""

# KEYS[1] stream   ARGV most, fields of the letter, flat. One that is the same as a new one is that one, sent again.
_BURY: Final = """#!lua flags=allow-oom
    local letter = table.concat(ARGV, '\\0', 2)
    for _, other in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 50)) do
      if table.concat(other[2], '\\0') == letter then return 0 end
    end
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 2))
    return 1
"""


class Pushes:
    """Operations on push events. Every method waits, and raises StoreError."""

    def __init__(self, journal: Journal, *, trace_length: int = 200, trace_days: int = 7) -> None:
        """`trace_length` decisions are kept per account, `trace_days` long; 0 = none."""
        self._journal = journal
        self._kept = (trace_length, trace_days)

    def _call(self, operation: str, bucket: int, *arguments: bytes | str | int) -> Any:
        return self._journal.call("FCALL", function(operation), 1, keys.bucket_prefix(bucket), *arguments)

    def claim(self, event: Event, *, floor_ms: int, active_grace_ms: int = 0) -> Send | Later | Cancelled:
        """Look again: generation unchanged, cursor still behind? Then the attempt is recorded.

        `floor_ms`: least time between two pushes to one device; calls, last calls and retries do not wait for it.
        `active_grace_ms`: for so long after the event it is left to another device at which somebody sits. Later and
        Cancelled take the event off the stream in the same step.
        """
        reply = self._call(
            "claim", event.bucket, event.stream_id, event.id, event.user, event.sid, event.reason, event.gen,
            event.kind, event.only, floor_ms, keys.CONSUMER_GROUP, event.at_ms, event.call, event.rang, event.attempt,
            active_grace_ms, *self._kept, secrets.token_hex(8),
        )  # fmt: skip
        if reply[0] == b"cancelled":
            return Cancelled(reply[1].decode())
        if reply[0] == b"later":
            return Later(int(reply[1]))
        (count, kind, call, unread, requests, fresh), entries, rules, found = reply[1:]
        return Send(
            registrations=tuple(msgspec.json.decode(found[i], type=Registration) for i in range(1, len(found), 2)),
            count=int(count),
            waiting=tuple(Waiting(decode(entries[i]), entries[i + 1].decode()) for i in range(0, len(entries), 2)),
            kind=kind.decode(),
            call=call.decode(),
            unread=int(unread) if int(unread) >= 0 else None,
            requests=int(requests),
            fresh=int(fresh),
            rules={rules[i].decode(): rules[i + 1] for i in range(0, len(rules), 2)},
        )

    def outcome(
        self,
        event: Event,
        registration: Registration,
        outcome: str,
        *,
        dead: bool = False,
        at_ms: int = 0,
        told: Told = Told(),
    ) -> bool:
        """Record what became of one registration's push, once.

        `dead`: the provider says the token is gone, since `at_ms` (0: it did not say since when).
        Compare and clear: the registration goes only if its token is still the one that failed and is older than the
        provider's word. Answers whether it went.
        """
        reply = self._call(
            "pushed", event.bucket, event.id, event.user, registration.field, outcome,
            registration.token if dead else "", at_ms, "1" if told.is_tried else "", told.push_id, told.provider,
            told.after_ms, told.why, told.call, *self._kept, event.kind,
        )  # fmt: skip
        return bool(reply == b"removed")

    def retry(self, event: Event, registration: Registration, *, wait_ms: int, told: Told = Told()) -> None:
        """Try this registration again after `wait_ms`: the event comes back by itself, `attempt` one higher unless the
        provider was not even asked.
        """
        counted = event if told.is_tried else replace(event, attempt=event.attempt - 1)
        again = msgspec.json.encode(counted.again(registration).fields())
        self._call(
            "retry", event.bucket, max(0, wait_ms), again, event.id, event.user, registration.field,
            "1" if told.is_tried else "", told.push_id, told.why, *self._kept, event.stream_id,
        )  # fmt: skip

    def may_show_nothing(self, event: Event, registration: Registration, *, gap_ms: int) -> bool:
        """May a push that shows nothing go to this device? Answers yes at most once in `gap_ms`."""
        return bool(self._call("background", event.bucket, event.user, registration.field, gap_ms, event.id))

    def trace(self, user: str) -> list[Decision]:
        """What was decided about the pushes of an account (a bare JID), oldest first."""
        return _decisions(self._call("trace", keys.bucket_of(user), user, ""))

    def trace_of(self, push_id: str) -> list[Decision]:
        """The same for the account to which the push with this id went; empty if it is not known (any more)."""
        bucket = bucket_of_push(push_id)
        return [] if bucket is None else _decisions(self._call("trace", bucket, "", push_id))

    def done(self, event: Event, *, final: bool) -> None:
        """Take the event off the stream.

        `final`: what was pushed because of this entry has come to its end; when all of the event has, its outcomes are
        forgotten.
        """
        self._call("done", event.bucket, event.stream_id, event.id, keys.CONSUMER_GROUP, "1" if final else "")

    def bury(self, event: Event, registration: Registration, reason: str) -> None:
        """Keep a push that was given up as a dead letter, to be read and replayed. The token is not in it."""
        fields = {
            **event.fields(),
            "app": registration.app,
            "only": registration.field,
            "bucket": str(event.bucket),
            "why": reason,
        }
        flat = [part for item in fields.items() for part in item]
        self._journal.call("EVAL", _BURY, 1, keys.DEAD_LETTERS, LETTERS, *flat)

    def dead_letters(self, most: int = 1000) -> list[tuple[str, dict[str, str]]]:
        """Dead letters, oldest first: (id, fields)."""
        found = self._journal.call("XRANGE", keys.DEAD_LETTERS, "-", "+", "COUNT", most)
        return [
            (letter.decode(), {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)})
            for letter, flat in found
        ]

    def forget_letters(self, user: str) -> None:
        """Drop the dead letters of an account (a bare JID) that is removed."""
        since, page = "-", 1000
        while True:
            found = self._journal.call("XRANGE", keys.DEAD_LETTERS, since, "+", "COUNT", page)
            for letter, flat in found:
                if user.encode() in flat:
                    self._journal.call("XDEL", keys.DEAD_LETTERS, letter)
            if len(found) < page:
                return
            since = f"({found[-1][0].decode()}"

    def replay(self, letter: str, fields: Mapping[str, str]) -> None:
        """Put a dead letter back on its stream, as a first attempt, and forget the letter."""
        names = ("id", "user", "sid", "reason", "gen", "class", "at", "only", "call", "rang")
        event = {name: fields.get(name, "") for name in names}
        flat = [part for item in event.items() for part in item]
        self._call(
            "replay", int(fields["bucket"]), event["id"], event["user"], event["only"], letter, *flat, "attempt", "0"
        )
        self._journal.call("XDEL", keys.DEAD_LETTERS, letter)

    def counters(self) -> dict[str, int]:
        """How many events and pushes reached which state of their lives, of all workers together.

        Events: raised = cancelled:WHY + claimed + those that wait; `coalesced` messages needed none of their own.
        Pushes, one for each registration of a claimed event: queued = delivered + token-gone + refused + dead + expired
        + skipped:WHY + withdrawn:WHY + those that wait for a retry. Attempts: sent, of these retried; put-off (the
        provider was not asked); repeated (perhaps made twice, by a worker that died). latency:PROVIDER:MS, not
        cumulative, and latency-sum:PROVIDER.
        """
        found: dict[str, int] = {}
        names = [keys.key(at, "push_counts") for at in keys.PREFIXES]
        for flat in self._journal.call_all([("HGETALL", name) for name in names]):
            for i in range(0, len(flat), 2):
                name = flat[i].decode()
                found[name] = found.get(name, 0) + int(flat[i + 1])
        return found

    def outcomes(self) -> dict[str, int]:
        """How many pushes ended how: what `counters` has of ends."""
        return {name: n for name, n in self.counters().items() if name.partition(":")[0] in ENDS}


ENDS = frozenset({"delivered", "token-gone", "refused", "dead", "expired", "skipped", "withdrawn"})
"""how a push may end"""


def _decisions(entries: Sequence[Any]) -> list[Decision]:
    found = []
    for entry, flat in entries:
        fields = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
        event, what, why, device, push = (fields.pop(name, "") for name in ("event", "what", "why", "device", "push"))
        found.append(Decision(int(entry.decode().partition("-")[0]), event, what, why, device, push, fields))
    return found
