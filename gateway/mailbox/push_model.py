"""What push registrations, events and decisions are, as the mailbox and its callers exchange them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.entry import Entry

_NAMESPACE: Final = uuid.UUID("8f2d6f0c-5f0b-5f0e-9a53-6b1f4d8f7a11")


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
    XML or "". `encryption`: "aes-128-gcm" or "aes-256-gcm", `key` its key in base64 (tigase:push:encrypt:0),
    `max_size` the most characters of what is sealed with it, 0 = not said.
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
    max_size: int = 0
    filters: Filters | None = None
    at: float = 0

    @property
    def field(self) -> str:
        """Its name among the account's registrations: one per (service JID, node)."""
        return f"{self.service}\n{self.node}"

    def __repr__(self) -> str:
        """Nothing of whose device it is: a repr may come to stand in a log."""
        return f"Registration(app={self.app!r}, content={self.content!r})"


@dataclass(frozen=True, slots=True)
class Event:
    """A push event as a worker reads it.

    `id` is the id of the first entry that carried it and stays the same over retries and over workers that died: push
    ids are made of it. `only` is the registration's field when this is a retry, else "". `at_ms`: when it was raised.
    `sid` "": it is for devices that have no session. `kind` is "message", "call", "call-ended" (`call` is over for the
    registrations in `rang`, JSON) or "wake" (nothing waits; the connection died with its process).
    """

    bucket: int
    stream_id: str
    id: str
    user: str = field(repr=False)
    sid: str
    reason: str
    gen: str
    kind: str
    at_ms: int
    only: str = field(default="", repr=False)
    attempt: int = 0
    call: str = field(default="", repr=False)
    rang: str = field(default="", repr=False)

    @classmethod
    def read(cls, bucket: int, stream_id: str, fields: Mapping[str, str]) -> Event:
        """From a stream entry's fields."""
        return cls(
            bucket=bucket, stream_id=stream_id, id=fields.get("id", stream_id), user=fields["user"], sid=fields["sid"],
            reason=fields["reason"], gen=fields["gen"], kind=fields["class"], at_ms=int(float(fields["at"])),
            only=fields.get("only", ""), attempt=int(fields.get("attempt", "0")), call=fields.get("call", ""),
            rang=fields.get("rang", ""),
        )  # fmt: skip

    def fields(self) -> dict[str, str]:
        """As `read` takes them: what a retry or a dead letter keeps."""
        return {
            "id": self.id, "user": self.user, "sid": self.sid, "reason": self.reason, "gen": self.gen,
            "class": self.kind, "at": str(self.at_ms), "only": self.only, "attempt": str(self.attempt),
            "call": self.call, "rang": self.rang,
        }  # fmt: skip

    def again(self, registration: Registration) -> Event:
        """The next attempt, for one registration."""
        return replace(self, only=registration.field, attempt=self.attempt + 1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits and wakes, and what the account's roster says of who wrote it ("none", "to", "from" or
    "both").
    """

    entry: Entry
    subscription: str


@dataclass(frozen=True, slots=True)
class Send:
    """Still true. `count`: important messages waiting for the device; `waiting`: the newest of them, oldest first, and
    `fresh`: of so many of the newest the device was not told (there may be more than `waiting` has).

    `kind`: the event's, but a call that has ended by now is a "message"; `call`: its id. `unread`: unread messages of
    the account, None if they are not counted; `requests`: subscription requests that wait for an answer. `rules`: the
    bookmarks of chats that wrote, by their bare JIDs; what the account wants of a chat stands there (XEP-0492).
    """

    registrations: tuple[Registration, ...]
    count: int
    waiting: tuple[Waiting, ...] = ()
    kind: str = "message"
    call: str = ""
    unread: int | None = None
    requests: int = 0
    fresh: int = 0
    rules: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def newest(self) -> Entry | None:
        """The last of what waits, if it is at hand."""
        return self.waiting[-1].entry if self.waiting else None


@dataclass(frozen=True, slots=True)
class Later:
    """Too soon after the last push to this device, or somebody sits at another one: it comes back by itself after
    `wait_ms`.
    """

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Not true any more: back | consuming | nothing-waiting | read-elsewhere | session-gone | no-registration |
    pushed-meanwhile | superseded (a newer push of this device tells of all) | done (another worker did it, and died
    before it could say so).

    The event is off the stream.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """What is recorded with an outcome, for those who ask later. `why` names no person, no device and no text.

    `is_tried`: the provider was asked. `after_ms`: since the event. `call`: the device rings for this call now.
    """

    push_id: str = ""
    provider: str = ""
    why: str = ""
    is_tried: bool = True
    after_ms: int = 0
    call: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of a trace: at `at_ms` it was decided about `event` (and, once it came to that, about one push of it to
    one `device`, a digest) `what` and `why`. `more`: other facts, such as the provider and how long it took.
    """

    at_ms: int
    event: str
    what: str
    why: str
    device: str = ""
    push_id: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


def push_id(bucket: int, event_id: str, registration: str) -> str:
    """The stable id of a push: the same event for the same registration is the same push, whoever tries it again.

    A UUID in canonical form, as APNs wants it; its first byte is the bucket of the mailbox, so that a trace is found.
    """
    digest = uuid.uuid5(_NAMESPACE, f"{event_id}\0{registration}").bytes
    return str(uuid.UUID(bytes=bytes((bucket,)) + digest[1:]))


def bucket_of_push(push_id: str) -> int | None:
    """The bucket of the mailbox for which this push was made; None for what is no push id."""
    try:
        bucket = uuid.UUID(push_id).bytes[0]
    except ValueError:
        return None
    return bucket if bucket < keys.BUCKETS else None
