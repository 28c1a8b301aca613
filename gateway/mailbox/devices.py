"""Devices of other XMPP servers' users, for which this installation is the app server (XEP-0357).

Each is a mailbox without sessions and without an account, named by its node at the push service, such as
`3f…e1@push.example.org`: what the other server publishes there waits, and wakes, as what is stored offline does.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function
from gateway.mailbox.pushes import Registration

Class = Literal["message", "call", "read"]
"""of a publish: something waits, somebody calls, or nothing waits any more"""


@dataclass(frozen=True, slots=True)
class Device:
    """A registered device: `node` at the push service; `secret` has to come with each publish ("" = none)."""

    node: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TooMany:
    """Whoever registers has registered too many new tokens; again after `wait_s`."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Known:
    """What a publish is held against: the bare JID of who registered the node, and its secret."""

    owner: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """`devices` of one bare JID, and new `tokens` of one an hour; a device not heard of for `kept_ms` is forgotten."""

    devices: int
    tokens: int
    kept_ms: int


class Devices:
    """Operations on devices at the push service `service` (a domain). They wait, and raise StoreError."""

    def __init__(self, journal: Journal, service: str, *, limits: Limits) -> None:
        self._journal = journal
        self._service = service
        self._limits = limits
        self._process = "@" + secrets.token_hex(8)
        self._serials = itertools.count(1)

    def add(self, owner: str, device: str, registration: Registration, *, has_secret: bool = True) -> Device | TooMany:
        """Keep the registration of who `owner` (a bare JID) calls `device`; the node in it does not matter.

        The same device keeps its node and its secret, so that nobody need be told of a new token. When there are too
        many devices the oldest goes.
        """
        name, at = self._named(owner), self._at(owner)
        reply = self._journal.call(
            "FCALL", function("device_add"), 1, at, name, _digest(device), self._new_node(at),
            secrets.token_urlsafe(24) if has_secret else "", msgspec.json.encode(registration),
            self._limits.devices, self._limits.tokens, self._limits.kept_ms,
        )  # fmt: skip
        if reply[0] == b"too-many":
            return TooMany(int(reply[1]) / 1000)
        return Device(reply[1].decode().partition("@")[0], reply[2].decode())

    def remove(self, owner: str, *, device: str = "", node: str = "") -> bool:
        """Forget one, by its node or by what its owner calls it. False: that owner has none such."""
        reply = self._journal.call(
            "FCALL", function("device_remove"), 1, self._at(owner), self._named(owner), _digest(device),
            f"{node}@{self._service}" if node else "",
        )  # fmt: skip
        return bool(reply == 1)

    def find(self, node: str) -> Known | None:
        """Who registered a node. None: nobody, or not any more."""
        jid = f"{node}@{self._service}"
        owner, secret = self._journal.call("HMGET", keys.key(keys.prefix(jid), "account", jid), "owner", "secret")
        return None if owner is None or secret is None else Known(owner.decode().partition(" ")[2], secret.decode())

    def notify(self, node: str, class_: Class, *, count: int, message: bytes) -> bool:
        """A publish for a node that was found: kept, and its phone is to be woken, when this returns.

        `message`: a message stanza with what may be told, of the `count` that wait. False: the node is gone.
        """
        jid = f"{node}@{self._service}"
        reply: Any = self._journal.call(
            "FCALL", function("device_notify"), 1, keys.prefix(jid), self._process, next(self._serials), jid, class_,
            max(1, count), message, self._limits.kept_ms,
        )  # fmt: skip
        return bool(reply == b"ok")

    def _named(self, owner: str) -> str:
        return f"{self._service} {owner}"

    def _at(self, owner: str) -> str:
        return keys.prefix(self._named(owner))

    def _new_node(self, at: str) -> str:
        """128 random bits, in the bucket of whoever registers: so that all of it is one atomic step."""
        while True:
            jid = f"{secrets.token_hex(16)}@{self._service}"
            if keys.bucket_prefix(keys.bucket_of(jid)) == at:
                return jid


def _digest(device: str) -> str:
    return hashlib.sha256(device.encode()).hexdigest()[:32] if device else ""
