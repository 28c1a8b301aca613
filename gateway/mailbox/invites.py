"""Invitations (XEP-0445), and the accounts that people make themselves, with one or without.

A token is the number of its bucket and 128 random bits. The store has its digest only: who reads a backup of it cannot
register.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.mailbox import keys
from gateway.mailbox.journal import Journal
from gateway.mailbox.library import function

TOKEN = re.compile(r"([0-9a-f]{2})[A-Za-z0-9_-]{22}")

HOUR_MS = 3_600_000

CLAIMS = 3
"""how often a claim is tried, each abandoned one that stands in the way being looked at"""


@dataclass(frozen=True, slots=True)
class Invite:
    """An invitation that is good. `inviter` "": the operator; `name`: the account it is for, "" if that is free to
    choose; `is_contact`: inviter and account shall be each other's contacts.
    """

    inviter: str
    name: str
    is_contact: bool


class Enrolled(StrEnum):
    """How an attempt to make an account ended."""

    OK = "ok"
    CONFLICT = "conflict"
    """the name is taken, or reserved for another invitation"""
    NOT_INVITED = "not-invited"
    """the invitation has been used meanwhile, or is for another name"""


class Invites:
    """Accounts are bare JIDs. Every method waits, and raises StoreError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def make(self, inviter: str, *, name: str = "", is_contact: bool = False, lifetime_s: int, most: int) -> str | None:
        """A new invitation's token; the inviter's oldest go when there are more than `most`. `inviter` "" is the
        operator. None: the name is taken, or the inviter is no account any more.
        """
        bucket = keys.bucket_of(inviter)
        token = f"{bucket:02x}{secrets.token_urlsafe(16)}"
        digest, lifetime_ms = _digest(token), lifetime_s * 1000
        if name:
            reply = self._journal.call("FCALL", function("reserve"), 1, keys.prefix(name), name, digest, lifetime_ms)
            if reply != b"ok":
                return None
        reply = self._journal.call(
            "FCALL", function("invite_make"), 1, keys.bucket_prefix(bucket), inviter, digest, name, int(is_contact),
            lifetime_ms, most,
        )  # fmt: skip
        return token if reply == b"ok" else None

    def look(self, token: str) -> Invite | None:
        """The invitation, None unless it is good now."""
        at = _at(token)
        v = at and self._journal.call("FCALL", function("invite_look"), 1, at, _digest(token))
        return Invite(v[0].decode(), v[1].decode(), v[2] == b"1") if v else None

    def enroll(self, user: str, credentials: Mapping[str, str], token: str = "") -> Enrolled:
        """Make an account, by an invitation if there is a token: that is used up then, and only then."""
        claim = secrets.token_hex(8)
        if token and not self._claim(user, token, claim):
            return Enrolled.NOT_INVITED
        digest = _digest(token) if token else ""
        flat = [part for item in credentials.items() for part in item]
        reply = self._journal.call("FCALL", function("enroll"), 1, keys.prefix(user), user, digest, claim, *flat)
        if token and reply == b"ok":
            self.withdraw(token)
        elif token:
            self._journal.call("FCALL", function("invite_release"), 1, _at(token), digest, claim)
        return Enrolled(reply.decode())

    def withdraw(self, token: str) -> None:
        """It is good no more."""
        self._journal.call("FCALL", function("invite_used"), 1, _at(token), _digest(token))

    def _claim(self, user: str, token: str, claim: str) -> bool:
        at, digest, abandoned = _at(token), _digest(token), ""
        for _ in range(CLAIMS if at else 0):
            reply = self._journal.call("FCALL", function("invite_claim"), 1, at, digest, user, claim, abandoned)
            if reply[0] != b"abandoned":
                return bool(reply[0] == b"ok")
            former = reply[1].decode()
            made = self._journal.call("HGET", keys.key(keys.prefix(former), "account", former), "invite")
            if made == digest.encode():  # its process died between the account and the end of the invitation
                self.withdraw(token)
                return False
            abandoned = reply[2].decode()
        return False

    def admit(self, address: str, *, most_of_address: int, most: int) -> bool:
        """Count a try to register from this address, and of all, in an hour. False: there were too many."""
        reply = self._journal.call(
            "FCALL", function("admit"), 1, keys.bucket_prefix(0), address, most_of_address, most, HOUR_MS
        )
        return bool(reply == b"ok")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _at(token: str) -> str:
    """The prefix of the bucket that a token names, "" if it cannot be one."""
    match = TOKEN.fullmatch(token)
    bucket = int(match[1], 16) if match else keys.BUCKETS
    return keys.bucket_prefix(bucket) if bucket < keys.BUCKETS else ""
