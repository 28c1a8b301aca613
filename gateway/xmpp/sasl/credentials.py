"""RFC 5802 §3: what a server keeps instead of a password.

Everything here that takes a password runs PBKDF2 and costs milliseconds of CPU: callers in a gevent process run it in
the thread pool, never on the hub.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from gateway.errors import WakegateError
from gateway.xmpp.sasl.prepare import saslprep

HashName = Literal["sha1", "sha256"]

Stretch = Callable[[HashName, bytes, bytes, int], bytes]
"""PBKDF2 by hash, password, salt and iterations; `hashlib`'s lets other threads run meanwhile."""

DEFAULT_ITERATIONS = 10_000
"""PBKDF2 rounds for new accounts. RFC 7677 §4 asks for 4096 at least; 10,000 take about 2 ms for each hash."""

LEAST_ITERATIONS = 4096
"""RFC 5802 §5.1: a server's iteration count should be no lower, and a client need not accept less."""


class PasswordRejected(WakegateError):
    """A password that cannot be set: empty, or with characters that SASLprep prohibits."""

    metric = "password_rejected"


class CredentialsCorrupt(WakegateError):
    """Stored credentials that cannot be read back."""

    alert = True
    metric = "credentials_corrupt"


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """RFC 5802 §3: salt, iteration count, StoredKey and ServerKey for one hash. A password cannot be read from it."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"ScramKeys(iterations={self.iterations}, ...)"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an account authenticates with: keys for SCRAM-SHA-1 and for SCRAM-SHA-256."""

    sha1: ScramKeys
    sha256: ScramKeys

    def keys(self, hash_name: HashName) -> ScramKeys:
        """The keys for one hash."""
        return self.sha1 if hash_name == "sha1" else self.sha256

    def to_fields(self) -> dict[str, str]:
        """The credentials as text fields, for a Redis hash: `sha1` and `sha256`, each
        `iterations:salt:stored:server`, base64."""
        return {"sha1": _to_field(self.sha1), "sha256": _to_field(self.sha256)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """Read what `to_fields` wrote; other fields are left alone. Raises CredentialsCorrupt."""
        try:
            return cls(_from_field(fields["sha1"]), _from_field(fields["sha256"]))
        except (KeyError, ValueError) as exc:
            raise CredentialsCorrupt(f"stored credentials cannot be read: {type(exc).__name__}") from exc


def derive(
    password: str, *, salt: bytes, iterations: int = DEFAULT_ITERATIONS, stretch: Stretch = hashlib.pbkdf2_hmac
) -> Credentials:
    """The credentials for `password`. `salt` is random, 16 bytes or more. Raises PasswordRejected."""
    try:
        prepared = saslprep(password)
    except ValueError as exc:
        raise PasswordRejected(f"this password cannot be used: {exc}") from exc
    if not prepared:
        raise PasswordRejected("this password cannot be used: it is empty")
    return Credentials(
        scram_keys("sha1", prepared, salt, iterations, stretch=stretch),
        scram_keys("sha256", prepared, salt, iterations, stretch=stretch),
    )


def verify(password: str, credentials: Credentials) -> bool:
    """Whether `password` is the one `credentials` were derived from. Compares in constant time; one PBKDF2 run."""
    try:
        prepared = saslprep(password)
    except ValueError:
        return False
    known = credentials.sha256
    keys = scram_keys("sha256", prepared, known.salt, known.iterations)
    return hmac.compare_digest(keys.stored_key, known.stored_key)


def decoy(username: str, secret: bytes, *, iterations: int = DEFAULT_ITERATIONS) -> Credentials:
    """Credentials that no password matches, for an account that does not exist.

    The same user name gets the same salt each time, as a real account does, so that SCRAM's challenge does not tell
    which accounts there are. `secret` stays the same on every node and is told to nobody.
    """

    def part(label: str, size: int) -> bytes:
        return hmac.digest(secret, f"{label}\0{username}".encode(errors="surrogatepass"), "sha256")[:size]

    salt = part("salt", 16)
    return Credentials(
        ScramKeys(salt, iterations, part("sha1 stored", 20), part("sha1 server", 20)),
        ScramKeys(salt, iterations, part("sha256 stored", 32), part("sha256 server", 32)),
    )


def scram_keys(
    hash_name: HashName, prepared: str, salt: bytes, iterations: int, *, stretch: Stretch = hashlib.pbkdf2_hmac
) -> ScramKeys:
    """RFC 5802 §3: StoredKey and ServerKey from a password that SASLprep has prepared."""
    salted = stretch(hash_name, prepared.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    return ScramKeys(
        salt,
        iterations,
        hashlib.new(hash_name, client_key).digest(),
        hmac.digest(salted, b"Server Key", hash_name),
    )


def _to_field(keys: ScramKeys) -> str:
    parts = (base64.b64encode(part).decode() for part in (keys.salt, keys.stored_key, keys.server_key))
    return ":".join((str(keys.iterations), *parts))


def _from_field(field: str) -> ScramKeys:
    iterations, *encoded = field.split(":")
    salt, stored_key, server_key = (binascii.a2b_base64(part, strict_mode=True) for part in encoded)
    return ScramKeys(salt, int(iterations), stored_key, server_key)
