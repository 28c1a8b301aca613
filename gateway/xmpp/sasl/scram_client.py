"""RFC 5802 and RFC 7677: the client's side of SCRAM, for the demo's clients and for checking the server's side
against."""

import hashlib
import hmac
from collections.abc import Collection

from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.sasl.credentials import LEAST_ITERATIONS, HashName
from gateway.xmpp.sasl.prepare import saslprep
from gateway.xmpp.sasl.scram_message import (
    advertised,
    attribute,
    decode_base64,
    decode_text,
    encode_base64,
    encode_name,
    is_nonce,
    malformed,
    xor,
)

_MOST_ITERATIONS = 1_000_000
"""A server that asks for more wants to keep the client's CPU busy."""


class ScramClient:
    """One authentication. Call `first`, `final`, `check`, in this order, once each.

    `nonce` is printable ASCII without a comma, random, used once. `channel_binding` is the type and data to bind to,
    for the -PLUS forms. Without it, `saw_no_plus` tells the server that this client could have bound but was offered
    no -PLUS form, which uncovers somebody who removed it from the list (RFC 5802 §6). `offered` are the mechanisms and
    the types of channel binding as this client saw them, which uncovers somebody who changed either (XEP-0474).
    """

    __slots__ = (
        "_advertised",
        "_auth_message",
        "_binding",
        "_first_bare",
        "_gs2_header",
        "_hash_name",
        "_nonce",
        "_password",
        "_salted",
    )

    def __init__(
        self,
        hash_name: HashName,
        *,
        username: str,
        password: str,
        nonce: str,
        channel_binding: tuple[str, bytes] | None = None,
        saw_no_plus: bool = False,
        authzid: str = "",
        offered: tuple[Collection[str], Collection[str]] | None = None,
    ) -> None:
        binding_type, self._binding = channel_binding or ("", b"")
        flag = f"p={binding_type}" if binding_type else "y" if saw_no_plus else "n"
        acting_as = f"a={encode_name(authzid)}" if authzid else ""
        self._advertised = advertised(hash_name, *offered) if offered is not None else ""
        self._hash_name = hash_name
        self._password = password
        self._nonce = nonce
        self._gs2_header = f"{flag},{acting_as},"
        self._first_bare = f"n={encode_name(username)},r={nonce}"
        self._auth_message = b""
        self._salted = b""

    def first(self) -> bytes:
        """client-first-message."""
        return f"{self._gs2_header}{self._first_bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """client-final-message. Runs PBKDF2: milliseconds of CPU. Raises SaslFailure(malformed-request,
        not-authorized).

        `not-authorized` stands for a server that cannot be trusted: it did not take up the nonce, asks for too little
        or too much hashing, or offered something else than what arrived here.
        """
        text = decode_text(server_first)
        nonce, salt, iterations = self._read_challenge(text)
        try:
            prepared = saslprep(self._password)
        except ValueError as exc:
            raise malformed(f"the password cannot be used: {exc}") from exc
        self._salted = hashlib.pbkdf2_hmac(self._hash_name, prepared.encode(), salt, iterations)
        binding = encode_base64(self._gs2_header.encode() + self._binding)
        without_proof = f"c={binding},r={nonce}"
        self._auth_message = f"{self._first_bare},{text},{without_proof}".encode()
        client_key = hmac.digest(self._salted, b"Client Key", self._hash_name)
        stored_key = hashlib.new(self._hash_name, client_key).digest()
        signature = hmac.digest(stored_key, self._auth_message, self._hash_name)
        return f"{without_proof},p={encode_base64(xor(client_key, signature))}".encode()

    def check(self, server_final: bytes) -> None:
        """Make sure that the server knows the account too. Raises SaslFailure(malformed-request, not-authorized)."""
        signature = decode_base64(attribute(decode_text(server_final).split(",")[0], "v"))
        server_key = hmac.digest(self._salted, b"Server Key", self._hash_name)
        expected = hmac.digest(server_key, self._auth_message, self._hash_name)
        if not hmac.compare_digest(signature, expected):
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, "the server does not know this account")

    def _read_challenge(self, text: str) -> tuple[str, bytes, int]:
        parts = text.split(",")
        if len(parts) < 3:
            raise malformed("server-first-message has too few parts")
        nonce = attribute(parts[0], "r")
        salt = decode_base64(attribute(parts[1], "s"))
        count = attribute(parts[2], "i")
        if not (count.isascii() and count.isdigit() and len(count) <= 9):
            raise malformed("the iteration count is not a number")
        if not (nonce.startswith(self._nonce) and len(nonce) > len(self._nonce) and is_nonce(nonce)):
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, "the server did not take up the nonce")
        if not LEAST_ITERATIONS <= int(count) <= _MOST_ITERATIONS:
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, f"an iteration count of {count} is not acceptable")
        said = next((part[2:] for part in parts[3:] if part.startswith("h=")), self._advertised)
        if self._advertised and said != self._advertised:
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, "somebody changed what the server offers")
        return nonce, salt, int(count)
