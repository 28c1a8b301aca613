"""RFC 6120 §6: the SASL mechanisms of this server, as a table, and how their data is written into XML."""

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.sasl.credentials import HashName
from gateway.xmpp.sasl.exchange import Exchange, PlainExchange, ScramExchange
from gateway.xmpp.sasl.scram import ScramServer
from gateway.xmpp.sasl.scram_message import advertised


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One row. `scram` names the hash of a SCRAM mechanism, `plus` whether it binds to the channel; without `scram`
    it is PLAIN."""

    name: str
    scram: HashName | None = None
    plus: bool = False


MECHANISMS: Mapping[str, Mechanism] = {
    row.name: row
    for row in (  # the strongest first: the order in which they are offered. EXTERNAL (RFC 4422) will be the first row.
        Mechanism("SCRAM-SHA-256-PLUS", scram="sha256", plus=True),
        Mechanism("SCRAM-SHA-1-PLUS", scram="sha1", plus=True),
        Mechanism("SCRAM-SHA-256", scram="sha256"),
        Mechanism("SCRAM-SHA-1", scram="sha1"),
        Mechanism("PLAIN"),
    )
}


def offered(*, tls: bool, tls_required: bool, channel_bindings: Mapping[str, bytes]) -> tuple[str, ...]:
    """The names to put into <mechanisms/>, the strongest first; () as long as TLS is required and not there yet.

    The -PLUS forms need a channel binding. PLAIN is offered inside TLS, and without TLS only if none is required.
    """
    if tls_required and not tls:
        return ()
    return tuple(row.name for row in MECHANISMS.values() if channel_bindings or not row.plus)


def begin(name: str, *, offered: Collection[str], nonce: str, channel_bindings: Mapping[str, bytes]) -> Exchange:
    """Start the mechanism that a client named. Raises SaslFailure(invalid-mechanism) unless it is among those
    `offered`.

    `nonce` is the server's part of SCRAM's: at least 18 random characters of printable ASCII without a comma.
    """
    row = MECHANISMS.get(name)
    if row is None or name not in offered:
        raise SaslFailure(SaslCondition.INVALID_MECHANISM)
    if row.scram is None:
        return PlainExchange()
    plus_offered = any(MECHANISMS[each].plus for each in offered)
    return ScramExchange(
        ScramServer(
            row.scram,
            plus=row.plus,
            nonce=nonce,
            channel_bindings=channel_bindings,
            plus_offered=plus_offered,
            advertised=advertised(row.scram, offered, channel_bindings),
        )
    )


def decode_initial(text: str) -> bytes | None:
    """RFC 6120 §6.4.2: the bytes in <auth/>. No text is no initial response, "=" an empty one. Raises as
    `decode_response`."""
    if not text:
        return None
    return b"" if text == "=" else decode_response(text)


def decode_response(text: str) -> bytes:
    """RFC 6120 §6.4.3: the bytes in <response/>. Raises SaslFailure(incorrect-encoding) unless it is base64 (RFC 4648
    §4) without white space or anything else that does not belong there."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as exc:
        raise SaslFailure(SaslCondition.INCORRECT_ENCODING, "not base64") from exc


def encode_challenge(data: bytes) -> str:
    """The text of <challenge/>, and of a client's <response/>: base64, no text for no data."""
    return base64.b64encode(data).decode()


def encode_success(data: bytes | None) -> str:
    """The text of <success/>: base64, "=" for data that is there but empty (RFC 6120 §6.4.6), no text for none."""
    if data is None:
        return ""
    return base64.b64encode(data).decode() or "="
