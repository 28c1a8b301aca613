"""Voluntary Application Server Identification (RFC 8292): who pushes, told to one push service at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import jwt

from workers.push.providers.webpush.keys import load_key, public_text

LIFETIME_S: Final = 12 * 3600
"""Half of what RFC 8292 section 2 allows: a clock that is wrong by hours does no harm."""

RENEW_S: Final = 6 * 3600


class Signer:
    """One key, read once: parsing costs more than signing. Raises CredentialError."""

    def __init__(self, key_file: str, subject: str, *, clock: Callable[[], float]) -> None:
        self._key = load_key(key_file)
        self._subject = subject
        self._clock = clock
        self.public_key = public_text(self._key)

    def credential(self, origin: str) -> Credential:
        """For one push service."""
        return Credential(self, origin, clock=self._clock)

    def sign(self, origin: str) -> str:
        """A token that only `origin` takes (RFC 8292, section 2)."""
        claims = {"aud": origin, "exp": int(self._clock()) + LIFETIME_S, "sub": self._subject}
        return jwt.encode(claims, self._key, algorithm="ES256")


class Credential:
    """The value of `Authorization` for one origin (RFC 8292, section 3), signed once in six hours."""

    def __init__(self, signer: Signer, origin: str, *, clock: Callable[[], float]) -> None:
        self._signer = signer
        self._origin = origin
        self._clock = clock
        self._value = ""
        self._signed_at = 0.0

    def value(self) -> str:
        """What to send now."""
        if not self._value or not 0 <= self._clock() - self._signed_at < RENEW_S:
            self._sign()
        return self._value

    def renewed(self, rejected: str) -> str | None:
        """Another one than that which was refused, or None if it was as new as it gets."""
        if self._value != rejected:
            return self._value
        if int(self._clock()) == int(self._signed_at):
            return None
        self._sign()
        return self._value

    def _sign(self) -> None:
        self._signed_at = self._clock()
        self._value = f"vapid t={self._signer.sign(self._origin)}, k={self._signer.public_key}"
