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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.entry import Entry, decode
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function


class Filters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which messages a device is not woken for, as its client said when it registered (`tigase:push:filter:*`).

    `muted`: bare JIDs. `rooms`: room's bare JID -> "always", "never", or "mentioned" and the nickname there, e.g.
    "mentioned:Romeo"; a room that is not named is "mentioned" without a nickname. `ignore_unknown`: only who stands in
    the roster wakes.
    """

    muted: tuple[str, ...] = ()
    rooms: dict[str, str] = {}
    ignore_unknown: bool = False


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One XEP-0357 registration: what the push of one device needs.

    It belongs to the account and the device, not to a stream.

    `service` and `node` as the client gave them; `sid` the session it is linked to; `at` when it was registered, ms
    since 1970 (set by the mailbox). `app`, `token`: for this server's own push service; `token` of Web Push is the
    endpoint's URL, and `p256dh` and `auth` its keys (RFC 8291, base64url). `voip_token`: the device's PushKit token,
    for calls. `app` "": `service` is somebody else's app server, and `form` the client's publish-options form, verbatim
    XML or "". `encryption`: "aes-128-gcm" or "aes-256-gcm", `key` its key in base64 (tigase:push:encrypt:0).
    """

    service: str
    node: str
    sid: str
    resource: str
    app: str
    token: str
    voip_token: str = ""
    p256dh: str = ""
    auth: str = ""
    environment: str = ""
    content: str = ""
    form: str = ""
    encryption: str = ""
    key: str = ""
    filters: Filters | None = None
    at: float = 0

    @property
    def field(self) -> str:
        """Its name among the account's registrations: one per (service JID, node)."""
        return f"{self.service}\n{self.node}"


@dataclass(frozen=True, slots=True)
class Event:
    """A push event as a worker reads it.

    `id` is the id of the first entry that carried it and stays the same over retries and over workers that died: push
    ids are made of it. `only` is the registration's field when this is a retry, else "". `at_ms`: when it was raised.
    `sid` "": messages were stored offline for devices that have no session. `kind` is "message" or "call".
    """

    bucket: int
    stream_id: str
    id: str
    user: str
    sid: str
    reason: str
    gen: str
    kind: str
    at_ms: int
    only: str = ""
    attempt: int = 0

    @classmethod
    def read(cls, bucket: int, stream_id: str, fields: Mapping[str, str]) -> Event:
        """From a stream entry's fields."""
        return cls(
            bucket=bucket, stream_id=stream_id, id=fields.get("id", stream_id), user=fields["user"], sid=fields["sid"],
            reason=fields["reason"], gen=fields["gen"], kind=fields["class"], at_ms=int(float(fields["at"])),
            only=fields.get("only", ""), attempt=int(fields.get("attempt", "0")),
        )  # fmt: skip

    def fields(self) -> dict[str, str]:
        """As `read` takes them: what a retry or a dead letter keeps."""
        return {
            "id": self.id, "user": self.user, "sid": self.sid, "reason": self.reason, "gen": self.gen,
            "class": self.kind, "at": str(self.at_ms), "only": self.only, "attempt": str(self.attempt),
        }  # fmt: skip

    def again(self, registration: Registration) -> Event:
        """The next attempt, for one registration."""
        return replace(self, only=registration.field, attempt=self.attempt + 1)


@dataclass(frozen=True, slots=True)
class Send:
    """Still true. `count`: important messages waiting; `newest`: the last of them, if it is at hand."""

    registrations: tuple[Registration, ...]
    count: int
    newest: Entry | None


@dataclass(frozen=True, slots=True)
class Later:
    """Too soon after the last push to this device: it comes back by itself after `wait_ms`."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Not true any more: back | consuming | nothing-waiting | session-gone | no-registration.

    The event is off the stream.
    """

    reason: str


def stream(bucket: int) -> str:
    """The key of a bucket's event stream."""
    return keys.key(keys.bucket_prefix(bucket), "events")


STREAMS: dict[str, int] = {stream(bucket): bucket for bucket in range(keys.BUCKETS)}
"""every event stream -> its bucket"""


class Pushes:
    """Operations on push events. Every method waits, and raises StoreError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def _call(self, operation: str, bucket: int, *arguments: bytes | str | int) -> Any:
        return self._journal.call("FCALL", function(operation), 1, keys.bucket_prefix(bucket), *arguments)

    def claim(self, event: Event, *, floor_ms: int) -> Send | Later | Cancelled:
        """Look again: generation unchanged, cursor still behind? Then the attempt is recorded.

        `floor_ms`: least time between two pushes to one device; calls, last calls and retries do not wait for it. Later
        and Cancelled take the event off the stream in the same step.
        """
        reply = self._call(
            "claim", event.bucket, event.stream_id, event.id, event.user, event.sid, event.reason, event.gen,
            event.kind, event.only, floor_ms, keys.CONSUMER_GROUP, event.at_ms,
        )  # fmt: skip
        if reply[0] == b"cancelled":
            return Cancelled(reply[1].decode())
        if reply[0] == b"later":
            return Later(int(reply[1]))
        found = tuple(msgspec.json.decode(reply[i], type=Registration) for i in range(4, len(reply), 2))
        return Send(found, int(reply[1]), decode(reply[2]) if reply[2] else None)

    def outcome(
        self, event: Event, registration: Registration, outcome: str, *, dead: bool = False, at_ms: int = 0
    ) -> bool:
        """Record what became of one registration's push.

        `dead`: the provider says the token is gone, since `at_ms` (0: it did not say since when).
        Compare and clear: the registration goes only if its token is still the one that failed and is older than the
        provider's word. Answers whether it went.
        """
        self._journal.call("HINCRBY", keys.OUTCOMES, outcome, 1)
        reply = self._call(
            "pushed",
            event.bucket,
            event.id,
            event.user,
            registration.field,
            outcome,
            registration.token if dead else "",
            at_ms,
        )
        return bool(reply == b"removed")

    def retry(self, event: Event, registration: Registration, *, wait_ms: int) -> None:
        """Try this registration again after `wait_ms`: the event comes back by itself, `attempt` one higher."""
        again = msgspec.json.encode(event.again(registration).fields())
        self._call("retry", event.bucket, max(0, wait_ms), again)

    def done(self, event: Event, *, final: bool) -> None:
        """Take the event off the stream.

        `final`: no registration of it waits for a retry any more, forget its outcomes.
        """
        self._call("done", event.bucket, event.stream_id, event.id if final else "", keys.CONSUMER_GROUP)

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
        self._journal.call("XADD", keys.DEAD_LETTERS, "MAXLEN", "~", 100_000, "*", *flat)

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
        bucket = int(fields["bucket"])
        event = {name: fields[name] for name in ("id", "user", "sid", "reason", "gen", "class", "at", "only")}
        flat = [part for item in event.items() for part in item]
        self._journal.call("XADD", stream(bucket), "*", *flat, "attempt", "0")
        self._journal.call("XDEL", keys.DEAD_LETTERS, letter)

    def outcomes(self) -> dict[str, int]:
        """How many pushes ended how, of all workers together."""
        flat = self._journal.call("HGETALL", keys.OUTCOMES)
        return {flat[i].decode(): int(flat[i + 1]) for i in range(0, len(flat), 2)}
