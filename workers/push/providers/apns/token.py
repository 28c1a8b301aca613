"""Provider tokens (Apple, "Establishing a token-based connection to APNs"): one per key, for all workers.

Apple counts new tokens: one in 20 minutes is allowed, one in 60 is demanded. Workers that each made their own would be
refused, so they share one through a store, in which the first to renew wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from redis.exceptions import RedisError

from gateway.errors import WakegateError

ROTATE_S: Final = 45 * 60
FLOOR_S: Final = 20 * 60
EXPIRY_S: Final = 60 * 60


class CredentialError(WakegateError):
    """A key or certificate cannot be read or is not what the provider takes. The text names the file, never its
    content.
    """

    alert = True
    metric = "credential"


@dataclass(frozen=True)
class Minted:
    """A provider token and when it was made, UNIX seconds (its `iat`)."""

    token: str = field(repr=False)
    at: int

    def age_s(self, now: float) -> float:
        """Seconds since it was made."""
        return now - self.at


class TokenStoreError(WakegateError):
    """The store cannot be reached. What it holds is not lost: another try may work."""

    metric = "token_store"


class TokenStore(Protocol):
    """Where workers meet. Implementations compare and set in one step, and raise TokenStoreError if they cannot."""

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


class Evaluator(Protocol):
    """The part of a redis client that the store needs."""

    def get(self, name: str, /) -> bytes | str | None:
        """GET"""

    def eval(self, script: str, numkeys: int, /, *keys_and_args: str) -> bytes | str:
        """EVAL"""


class RedisTokenStore:
    """For all workers of an installation. `key` makes the Redis key for a name; the value is gone when the token is of
    no use.
    """

    # KEYS[1] string, JSON {token, at}   ARGV offered (JSON), its at, floor s, expiry s   answers what is in use
    _OFFER: Final = """
        local known = redis.call('GET', KEYS[1])
        if known and tonumber(ARGV[2]) - cjson.decode(known).at < tonumber(ARGV[3]) then return known end
        redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])
        return ARGV[1]
    """

    def __init__(self, redis: Evaluator, *, key: Callable[[str], str]) -> None:
        self._redis = redis
        self._key = key

    def current(self, name: str) -> Minted | None:
        """See `TokenStore`."""
        try:
            value = self._redis.get(self._key(name))
        except RedisError as error:
            raise TokenStoreError(str(error)) from error
        return None if value is None else msgspec.json.decode(value, type=Minted)

    def offer(self, name: str, minted: Minted, *, floor_s: int) -> Minted:
        """See `TokenStore`."""
        offered = msgspec.json.encode(minted).decode()
        value = self._redis.eval(self._OFFER, 1, self._key(name), offered, str(minted.at), str(floor_s), str(EXPIRY_S))
        return msgspec.json.decode(value, type=Minted)


def load_key(file: str) -> ec.EllipticCurvePrivateKey:
    """Read a .p8 key, once: parsing costs more than signing. Raises CredentialError."""
    try:
        key = load_pem_private_key(Path(file).read_bytes(), password=None)
    except OSError as error:
        raise CredentialError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CredentialError(f"{file}: is not a private key in PEM form (a .p8 file from Apple)") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError(f"{file}: is not an EC P-256 key, which APNs needs for ES256")
    return key


class ProviderToken:
    """The token of one key of one team."""

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        *,
        team_id: str,
        key_id: str,
        store: TokenStore,
        clock: Callable[[], float],
    ) -> None:
        self._key = key
        self._team_id = team_id
        self._key_id = key_id
        self._store = store
        self._clock = clock
        self._name = f"{team_id}:{key_id}"
        self._current: Minted | None = None
        self._previous: Minted | None = None
        self._held_until = 0.0

    def bearer(self) -> str:
        """The token to send now. Rotated at 45 minutes; within that, costs nothing."""
        now = self._clock()
        if self._current is None or (self._current.age_s(now) >= ROTATE_S and now >= self._held_until):
            self._adopt(self._store.current(self._name))
            if self._current is None or self._current.age_s(now) >= ROTATE_S:
                self._adopt(self._store.offer(self._name, self.mint(), floor_s=FLOOR_S))
        assert self._current is not None
        return self._current.token

    def renewed(self, rejected: str) -> str | None:
        """Another token than the one that was called expired, or None if Apple would refuse a new one so soon."""
        if self._current is not None and self._current.token != rejected:
            return self._current.token  # somebody renewed it while this answer was under way
        self._adopt(self._store.offer(self._name, self.mint(), floor_s=FLOOR_S))
        return self._current.token if self._current is not None and self._current.token != rejected else None

    def previous(self, rejected: str) -> str | None:
        """Back to the token before the one that came too soon, if Apple still takes it. No new one for 20 minutes."""
        now = self._clock()
        self._held_until = now + FLOOR_S
        if self._current is not None and self._current.token != rejected:
            return self._current.token
        if self._previous is not None and self._previous.age_s(now) < EXPIRY_S:
            self._current, self._previous = self._previous, self._current
            return self._current.token
        return None

    def mint(self) -> Minted:
        """Sign a new token, without putting it in use."""
        at = int(self._clock())
        token = jwt.encode(
            {"iss": self._team_id, "iat": at}, self._key, algorithm="ES256", headers={"kid": self._key_id}
        )
        return Minted(token, at)

    def _adopt(self, minted: Minted | None) -> None:
        if minted is not None and minted != self._current:
            self._current, self._previous = minted, self._current
