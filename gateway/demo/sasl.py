"""SASL from the client's side (RFC 6120, section 6): picks the best mechanism and makes its elements."""

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.errors import WakegateError
from gateway.xmpp import ns
from gateway.xmpp.sasl import ScramClient
from gateway.xmpp.sasl.credentials import HashName

_SCRAM: Mapping[str, HashName] = {
    "SCRAM-SHA-256-PLUS": "sha256",
    "SCRAM-SHA-1-PLUS": "sha1",
    "SCRAM-SHA-256": "sha256",
    "SCRAM-SHA-1": "sha1",
}
"""Best first."""


class NoMechanism(WakegateError):
    """The server offers nothing that this client can do."""

    metric = "client_no_mechanism"


class Dialogue(Protocol):
    """One authentication's elements."""

    mechanism: str

    def auth(self) -> str:
        """`<auth/>` with the initial response."""
        ...

    def respond(self, challenge: str) -> str:
        """`<response/>` to a challenge's base64 text."""
        ...

    def finish(self, success: str) -> None:
        """Checks what `<success/>` carries. Raises SaslFailure if the server proved nothing."""
        ...


class _Scram:
    def __init__(
        self,
        mechanism: str,
        username: str,
        password: str,
        binding: tuple[str, bytes] | None,
        seen: tuple[Sequence[str], Sequence[str]] | None,
    ) -> None:
        self.mechanism = mechanism
        bound = binding if mechanism.endswith("-PLUS") else None
        self._client = ScramClient(
            _SCRAM[mechanism],
            username=username,
            password=password,
            nonce=secrets.token_urlsafe(18),
            channel_binding=bound,
            saw_no_plus=binding is not None and bound is None,
            offered=seen,
        )

    def auth(self) -> str:
        return _auth(self.mechanism, self._client.first())

    def respond(self, challenge: str) -> str:
        return f"<response xmlns='{ns.SASL}'>{_encode(self._client.final(_decode(challenge)))}</response>"

    def finish(self, success: str) -> None:
        self._client.check(_decode(success))


class _Plain:
    mechanism = "PLAIN"

    def __init__(self, username: str, password: str) -> None:
        self._response = f"\0{username}\0{password}".encode()

    def auth(self) -> str:
        return _auth(self.mechanism, self._response)

    def respond(self, challenge: str) -> str:
        raise NoMechanism(f"PLAIN has no challenge, got {len(challenge)} characters")

    def finish(self, success: str) -> None:
        if success.strip("= "):
            raise NoMechanism("PLAIN has no data with success")


def start_sasl(
    offered: Sequence[str],
    username: str,
    password: str,
    *,
    binding: tuple[str, bytes] | None = None,
    seen: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Dialogue:
    """The best dialogue among the `offered` mechanisms; -PLUS forms only with a channel `binding` (type, data).
    `seen` is all that the server offered, mechanisms and types of channel binding (XEP-0474).

    Raises NoMechanism.
    """
    for mechanism in _SCRAM:
        if mechanism in offered and (binding is not None or not mechanism.endswith("-PLUS")):
            return _Scram(mechanism, username, password, binding, seen)
    if "PLAIN" in offered:
        return _Plain(username, password)
    raise NoMechanism(f"the server offers only {', '.join(offered) or 'nothing'}")


def _auth(mechanism: str, initial: bytes) -> str:
    return f"<auth xmlns='{ns.SASL}' mechanism='{mechanism}'>{_encode(initial)}</auth>"


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise NoMechanism(f"the server's SASL data is no base64: {error}") from error
