"""Where workers share a provider token, so that Apple sees one and not one of each worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from gateway.mailbox.journal import Journal
from gateway.mailbox.keys import PROVIDER_TOKENS

EXPIRY_S: Final = 60 * 60
"""Apple refuses a token that is older."""


@dataclass(frozen=True)
class Minted:
    """A provider token and when it was made, UNIX seconds (its `iat`)."""

    token: str = field(repr=False)
    at: int

    def age_s(self, now: float) -> float:
        """Seconds since it was made."""
        return now - self.at


class TokenStore(Protocol):
    """Implementations compare and set in one step, and raise StoreError if they cannot."""

    def current(self, name: str) -> Minted | None:
        """The token in use under this name, if there is one."""

    def offer(self, name: str, minted: Minted, *, floor_s: int) -> Minted:
        """Put `minted` in use, unless what is in use is younger than `floor_s`; answers what is in use now."""


class LocalTokenStore:
    """For one process alone."""

    def __init__(self) -> None:
        self._kept: dict[str, Minted] = {}

    def current(self, name: str) -> Minted | None:
        """See `TokenStore`."""
        return self._kept.get(name)

    def offer(self, name: str, minted: Minted, *, floor_s: int) -> Minted:
        """See `TokenStore`."""
        known = self._kept.get(name)
        if known is None or minted.at - known.at >= floor_s:
            self._kept[name] = minted
        return self._kept[name]


class SharedTokenStore:
    """For all workers of an installation, in Redis. A token that Apple no longer takes is gone from there by itself."""

    # KEYS[1] string, JSON {token, at}   ARGV offered (JSON), its at, floor s, expiry s   answers what is in use
    _OFFER: Final = """
        local known = redis.call('GET', KEYS[1])
        if known and tonumber(ARGV[2]) - cjson.decode(known).at < tonumber(ARGV[3]) then return known end
        redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])
        return ARGV[1]
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
            "EVAL", self._OFFER, 1, PROVIDER_TOKENS + name, offered, minted.at, floor_s, EXPIRY_S
        )
        return msgspec.json.decode(value, type=Minted)
