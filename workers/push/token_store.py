"""Where workers share what authorises them at a provider, so that Apple and Google see one token and not one of each
worker.

The tokens lie there in clear, as everything in Redis does, for an hour at most; who reads Redis can read messages too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from gateway.mailbox.journal import Journal
from gateway.mailbox.keys import PROVIDER_TOKENS

EXPIRY_S: Final = 60 * 60
"""Apple refuses a token that is older; Google's live as long."""


@dataclass(frozen=True)
class Minted:
    """A token, when it was made, UNIX seconds (its `iat`), and for how many seconds it is taken."""

    token: str = field(repr=False)
    at: int
    life_s: int = EXPIRY_S

    def age_s(self, now: float) -> float:
        """Seconds since it was made."""
        return now - self.at

    def left_s(self, now: float) -> float:
        """Seconds for which it is still taken."""
        return self.at + self.life_s - now


class TokenStore(Protocol):
    """Implementations compare and set in one step, and raise StoreError if they cannot."""

    def current(self, name: str) -> Minted | None:
        """The token in use under this name, if there is one."""

    def offer(self, name: str, minted: Minted, *, floor_s: int) -> Minted:
        """Put `minted` in use, unless what is in use is younger than `floor_s`; answers what is in use now."""

    def lease(self, name: str, *, seconds: float) -> bool:
        """May the caller renew this token? True for one caller, until `seconds` have passed or it says `release`."""

    def release(self, name: str) -> None:
        """Done with renewing."""


class LocalTokenStore:
    """For one process alone."""

    def __init__(self) -> None:
        self._kept: dict[str, Minted] = {}
        self._leases: dict[str, float] = {}

    def current(self, name: str) -> Minted | None:
        """See `TokenStore`."""
        return self._kept.get(name)

    def offer(self, name: str, minted: Minted, *, floor_s: int) -> Minted:
        """See `TokenStore`."""
        known = self._kept.get(name)
        if known is None or minted.at - known.at >= floor_s:
            self._kept[name] = minted
        return self._kept[name]

    def lease(self, name: str, *, seconds: float) -> bool:
        """See `TokenStore`."""
        now = time.monotonic()
        if self._leases.get(name, now) > now:
            return False
        self._leases[name] = now + seconds
        return True

    def release(self, name: str) -> None:
        """See `TokenStore`."""
        self._leases.pop(name, None)


class SharedTokenStore:
    """For all workers of an installation, in Redis. A token that is of no use any more is gone from there by itself."""

    # KEYS[1] string, JSON {token, at, life_s}   ARGV offered (JSON), its at, floor s, its life s   answers what is in
    # use
    _OFFER: Final = """#!lua flags=allow-oom
        local known = redis.call('GET', KEYS[1])
        if known and tonumber(ARGV[2]) - cjson.decode(known).at < tonumber(ARGV[3]) then return known end
        redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])
        return ARGV[1]
    """

    # KEYS[1] string   ARGV ms   answers whether nobody else has it. Pushes go on when Redis is full, so this does too.
    _LEASE: Final = """#!lua flags=allow-oom
        return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1])
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def current(self, name: str) -> Minted | None:
        """See `TokenStore`."""
        value = self._journal.call("GET", PROVIDER_TOKENS + name)
        return None if value is None else msgspec.json.decode(value, type=Minted)

    def offer(self, name: str, minted: Minted, *, floor_s: int) -> Minted:
        """See `TokenStore`."""
        offered = msgspec.json.encode(minted)
        value = self._journal.call(
            "EVAL", self._OFFER, 1, PROVIDER_TOKENS + name, offered, minted.at, floor_s, max(1, minted.life_s)
        )
        return msgspec.json.decode(value, type=Minted)

    def lease(self, name: str, *, seconds: float) -> bool:
        """See `TokenStore`. A holder that dies loses it by time; one that is slower than that shares it, no more."""
        key = PROVIDER_TOKENS + name + ":lease"
        return self._journal.call("EVAL", self._LEASE, 1, key, max(1, int(seconds * 1000))) is not None

    def release(self, name: str) -> None:
        """See `TokenStore`."""
        self._journal.call("DEL", PROVIDER_TOKENS + name + ":lease")
