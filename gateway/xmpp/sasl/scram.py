"""RFC 5802 and RFC 7677: the server's side of SCRAM-SHA-1, SCRAM-SHA-256 and their -PLUS forms."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.sasl.credentials import HashName, ScramKeys
from gateway.xmpp.sasl.scram_message import (
    attribute,
    channel_binding_type,
    decode_base64,
    decode_name,
    decode_text,
    is_nonce,
    malformed,
    xor,
)


class ScramServer:
    """One authentication. Call `client_first`, `challenge`, `client_final`, in this order, once each.

    `nonce` is the server's part: printable ASCII without a comma, at least 18 random characters, used once.
    `channel_bindings` maps the types that this connection has to their data (RFC 5056); `plus` says whether the
    client chose the -PLUS form, `plus_offered` whether the server advertised one. `advertised` is the hash of all that
    the server offered (XEP-0474), "" for none.
    """

    __slots__ = (
        "_advertised",
        "_auth_message",
        "_channel_bindings",
        "_expected_binding",
        "_gs2_header",
        "_keys",
        "_nonce",
        "_plus",
        "_plus_offered",
        "authzid",
        "hash_name",
        "username",
    )

    def __init__(
        self,
        hash_name: HashName,
        *,
        plus: bool,
        nonce: str,
        channel_bindings: Mapping[str, bytes],
        plus_offered: bool,
        advertised: str = "",
    ) -> None:
        self.hash_name = hash_name
        self.authzid = ""
        self.username = ""
        self._plus = plus
        self._plus_offered = plus_offered
        self._advertised = advertised
        self._nonce = nonce
        self._channel_bindings = channel_bindings
        self._gs2_header = b""
        self._expected_binding = b""
        self._auth_message = ""
        self._keys: ScramKeys | None = None

    def client_first(self, data: bytes) -> str:
        """Read client-first-message and return the user name. Raises SaslFailure(malformed-request, not-authorized)."""
        flag, authzid, bare = _split(decode_text(data), 3, "client-first-message")
        self._check_flag(flag)
        self.authzid = decode_name(attribute(authzid, "a")) if authzid else ""
        if bare.startswith("m="):
            raise malformed("a mandatory extension that this server does not know")
        name, nonce, *_ = _split(f"{bare},", 3, "client-first-message-bare")
        self.username = decode_name(attribute(name, "n"))
        client_nonce = attribute(nonce, "r")
        if not is_nonce(client_nonce):
            raise malformed("the nonce is not printable ASCII")
        self._nonce = client_nonce + self._nonce
        self._gs2_header = f"{flag},{authzid},".encode()
        self._auth_message = bare
        return self.username

    def challenge(self, keys: ScramKeys) -> bytes:
        """server-first-message for the account's keys."""
        salt = base64.b64encode(keys.salt).decode()
        message = f"r={self._nonce},s={salt},i={keys.iterations}"
        if self._advertised:
            message += f",h={self._advertised}"
        self._keys = keys
        self._auth_message += f",{message}"
        return message.encode()

    def client_final(self, data: bytes) -> bytes:
        """Check client-final-message and return server-final-message. Raises SaslFailure(malformed-request,
        not-authorized).

        The channel binding, the nonce and the proof are all compared, in constant time, before the answer: a client
        learns that it failed, not where.
        """
        assert self._keys is not None, "challenge() comes before client_final()"
        without_proof, comma, proof_part = decode_text(data).rpartition(",")
        if not comma:
            raise malformed("client-final-message has no proof")
        binding, nonce, *_ = _split(f"{without_proof},", 3, "client-final-message")
        proof = decode_base64(attribute(proof_part, "p"))
        sent_binding = decode_base64(attribute(binding, "c"))
        sent_nonce = attribute(nonce, "r")
        auth_message = f"{self._auth_message},{without_proof}".encode()
        is_bound = hmac.compare_digest(sent_binding, self._gs2_header + self._expected_binding)
        is_fresh = hmac.compare_digest(sent_nonce.encode(), self._nonce.encode())
        is_proved = self._is_proof(proof, auth_message, self._keys)
        if not (is_bound and is_fresh and is_proved):
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED)
        signature = hmac.digest(self._keys.server_key, auth_message, self.hash_name)
        return b"v=" + base64.b64encode(signature)

    def _check_flag(self, flag: str) -> None:
        """RFC 5802 §6: what the client says about channel binding has to fit what was offered and chosen."""
        if flag == "n" or flag == "y":
            if self._plus:
                raise malformed("a -PLUS mechanism needs channel binding")
            if flag == "y" and self._plus_offered:
                raise SaslFailure(SaslCondition.NOT_AUTHORIZED, "somebody removed -PLUS from the list of mechanisms")
            return
        binding_type = channel_binding_type(flag)
        if not self._plus:
            raise malformed("channel binding needs a -PLUS mechanism")
        if binding_type not in self._channel_bindings:
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, "this channel binding type is not supported")
        self._expected_binding = self._channel_bindings[binding_type]

    def _is_proof(self, proof: bytes, auth_message: bytes, keys: ScramKeys) -> bool:
        """RFC 5802 §3: ClientProof XOR ClientSignature is ClientKey, whose hash is StoredKey."""
        signature = hmac.digest(keys.stored_key, auth_message, self.hash_name)
        if len(proof) != len(signature):
            return False
        stored_key = hashlib.new(self.hash_name, xor(proof, signature)).digest()
        return hmac.compare_digest(stored_key, keys.stored_key)


def _split(text: str, parts: int, what: str) -> list[str]:
    found = text.split(",", parts - 1)
    if len(found) < parts:
        raise malformed(f"{what} has too few parts")
    return found
