"""Provider tokens (Apple, "Establishing a token-based connection to APNs"): one per key, for all workers.

Apple counts new tokens: one in 20 minutes is allowed, one in 60 is demanded. Workers that each made their own would be
refused, so they share one through a store, in which the first to renew wins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from workers.push.credential import CredentialError
from workers.push.token_store import EXPIRY_S, Minted, TokenStore

ROTATE_S: Final = 45 * 60
FLOOR_S: Final = 20 * 60


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
        # By the key itself too: a wrong file that is put right must not go on under the token of the wrong one.
        self._name = f"{team_id}:{key_id}:{_fingerprint(key)}"
        self._current: Minted | None = None
        self._previous: Minted | None = None
        self._held_until = 0.0

    @property
    def age_s(self) -> float | None:
        """How old the token in use is; None before the first push."""
        return None if self._current is None else float(self._current.age_s(self._clock()))

    def bearer(self) -> str:
        """The token to send now. Rotated at 45 minutes; within that, costs nothing. Raises StoreError."""
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


def _fingerprint(key: ec.EllipticCurvePrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return hashlib.sha256(public).hexdigest()[:16]
