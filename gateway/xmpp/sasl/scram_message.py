"""RFC 5802 §7: the pieces that SCRAM messages are made of, for both sides."""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.sasl.credentials import HashName

_LONGEST = 8192
"""Bytes of one message. No honest one comes near; the cap keeps what is hashed for strangers small."""


def malformed(text: str) -> SaslFailure:
    """SaslFailure(malformed-request) that says which part of SCRAM it is about."""
    return SaslFailure(SaslCondition.MALFORMED_REQUEST, f"SCRAM: {text}")


def decode_text(data: bytes) -> str:
    """A message as text. Raises SaslFailure(malformed-request)."""
    if len(data) > _LONGEST:
        raise malformed("the message is too long")
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise malformed("the message is not UTF-8") from exc
    if "\0" in text:
        raise malformed("the message holds a NUL")
    return text


def attribute(part: str, name: str) -> str:
    """The value of `name=value`, which is never empty. Raises SaslFailure(malformed-request) for another name."""
    if not part.startswith(f"{name}=") or len(part) == len(name) + 1:
        raise malformed(f"{name}= is missing")
    return part[len(name) + 1 :]


def decode_name(saslname: str) -> str:
    """RFC 5802 §5.1: `=2C` is a comma, `=3D` an equals sign, any other `=` an error."""
    if saslname.replace("=2C", "").replace("=3D", "").find("=") >= 0:
        raise malformed("a name with an = that is not =2C or =3D")
    return saslname.replace("=2C", ",").replace("=3D", "=")


def encode_name(name: str) -> str:
    """The reverse of `decode_name`."""
    return name.replace("=", "=3D").replace(",", "=2C")


def decode_base64(text: str) -> bytes:
    """RFC 4648 §4, strictly. Raises SaslFailure(malformed-request)."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as exc:
        raise malformed("bad base64") from exc


def encode_base64(data: bytes) -> str:
    """RFC 4648 §4."""
    return base64.b64encode(data).decode()


def is_nonce(text: str) -> bool:
    """RFC 5802 §7: printable = %x21-2B / %x2D-7E."""
    return all("!" <= char <= "~" and char != "," for char in text)


def channel_binding_type(flag: str) -> str:
    """The type in `p=type`. Raises SaslFailure(malformed-request)."""
    name = attribute(flag, "p")
    if not all(char.isascii() and (char.isalnum() or char in ".-") for char in name):
        raise malformed("a channel binding type with characters outside A-Z a-z 0-9 . -")
    return name


def advertised(hash_name: HashName, mechanisms: Iterable[str], channel_bindings: Iterable[str]) -> str:
    """XEP-0474 §5.1: what was offered before the log-in, as one hash, which SCRAM then signs."""
    text = "\x1e".join(sorted(mechanisms))
    if types := sorted(channel_bindings):
        text += "\x1f" + "\x1e".join(types)
    return encode_base64(hashlib.new(hash_name, text.encode()).digest())


def xor(left: bytes, right: bytes) -> bytes:
    """Byte by byte; both are equally long."""
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
