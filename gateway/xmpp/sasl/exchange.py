"""One SASL authentication, whatever the mechanism: the caller sends, looks up and hashes; the exchange says what is
next.

    step = exchange.step(initial)                       bytes of <auth/>, or None if it had no initial response
    NeedCredentials -> step = exchange.supply(...)      look the account up; no such account: credentials.decoy()
    VerifyPassword  -> step = exchange.verified(...)    credentials.verify(), in the thread pool
    Challenge       -> send it; step = exchange.step(response)
    Success         -> send it with its data

Every failure, at any point, is a SaslFailure and ends the exchange.
"""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.sasl import plain
from gateway.xmpp.sasl.credentials import Credentials
from gateway.xmpp.sasl.scram import ScramServer


@dataclass(frozen=True, slots=True)
class NeedCredentials:
    """Call `supply` with the credentials of this account, or with a decoy's."""

    username: str


@dataclass(frozen=True, slots=True)
class VerifyPassword:
    """Check this password for this account and call `verified`. For an unknown account check a decoy: it takes as
    long."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send <challenge/> with these bytes and call `step` with the response."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Success:
    """Authenticated. `data` goes into <success/> (None: nothing does). `authzid` is whom the client wants to act as
    ("": itself): before telling success the caller refuses what it does not allow, with
    SaslFailure(invalid-authzid)."""

    data: bytes | None
    username: str
    authzid: str


Step = NeedCredentials | VerifyPassword | Challenge | Success


class Exchange(Protocol):
    """What every mechanism offers. Calls out of turn raise SaslFailure(malformed-request): they are the peer's
    doing."""

    def step(self, data: bytes | None) -> Step:
        """Take the client's bytes: of <auth/> (None if it had no initial response), then of each <response/>."""
        ...

    def supply(self, credentials: Credentials) -> Step:
        """Answer NeedCredentials."""
        ...

    def verified(self, is_right: bool) -> Step:
        """Answer VerifyPassword."""
        ...


def out_of_turn() -> SaslFailure:
    """A call or response that the mechanism does not have at this point."""
    return SaslFailure(SaslCondition.MALFORMED_REQUEST, "this mechanism has no such message here")


class PlainExchange:
    """RFC 4616: the password comes as it is, so only inside TLS."""

    __slots__ = ("_is_done", "_request")

    def __init__(self) -> None:
        self._request: plain.PlainRequest | None = None
        self._is_done = False

    def step(self, data: bytes | None) -> Step:
        """See Exchange."""
        if self._request or self._is_done:
            raise out_of_turn()
        if data is None:
            return Challenge(b"")
        self._request = plain.parse(data)
        return VerifyPassword(self._request.authcid, self._request.password)

    def supply(self, credentials: Credentials) -> Step:
        """See Exchange; PLAIN asks for a verification instead."""
        raise out_of_turn()

    def verified(self, is_right: bool) -> Step:
        """See Exchange. Raises SaslFailure(not-authorized)."""
        request, self._request, self._is_done = self._request, None, True
        if request is None:
            raise out_of_turn()
        if not is_right:
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED)
        return Success(None, request.authcid, request.authzid)


class ScramExchange:
    """RFC 5802: the password never travels."""

    __slots__ = ("_next", "_scram")

    def __init__(self, scram: ScramServer) -> None:
        self._scram = scram
        self._next = "first"

    def step(self, data: bytes | None) -> Step:
        """See Exchange."""
        if data is None and self._next == "first":
            return Challenge(b"")
        if data is None or self._next not in ("first", "final"):
            raise out_of_turn()
        if self._next == "first":
            self._next = "supply"
            return NeedCredentials(self._scram.client_first(data))
        self._next = "done"
        return Success(self._scram.client_final(data), self._scram.username, self._scram.authzid)

    def supply(self, credentials: Credentials) -> Step:
        """See Exchange."""
        if self._next != "supply":
            raise out_of_turn()
        self._next = "final"
        return Challenge(self._scram.challenge(credentials.keys(self._scram.hash_name)))

    def verified(self, is_right: bool) -> Step:
        """See Exchange; SCRAM verifies by itself."""
        raise out_of_turn()
