"""XEP-0054 and XEP-0153: what a server reads and changes in a vCard, its photo; XEP-0084: the same as events."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from gateway.xmpp import ns
from gateway.xmpp.escape import escape
from gateway.xmpp.inner import inner
from gateway.xmpp.payload import read, several
from gateway.xmpp.stanza import peek
from gateway.xmpp.start_tag import qualified_name

EMPTY: Final = f"<vCard xmlns='{ns.VCARD}'/>".encode()

NO_METADATA: Final = f"<metadata xmlns='{ns.AVATAR_METADATA}'/>".encode()
"""XEP-0084 section 4.4: there is no avatar"""


@dataclass(frozen=True, slots=True)
class Photo:
    """An avatar: the image itself and what its owner says that it is."""

    data: bytes
    type: str
    """e.g. `image/png`; "" if nobody says"""

    @property
    def id(self) -> str:
        """SHA-1 in lower-case hexadecimal digits, the name of an avatar in XEP-0084 and XEP-0153."""
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()

    @property
    def encoded(self) -> str:
        """The image in base64."""
        return base64.b64encode(self.data).decode()

    def item(self) -> bytes:
        """The payload of urn:xmpp:avatar:data (XEP-0084 section 4.1)."""
        return f"<data xmlns='{ns.AVATAR_DATA}'>{self.encoded}</data>".encode()

    def metadata(self) -> bytes:
        """The payload of urn:xmpp:avatar:metadata (XEP-0084 section 4.2)."""
        info = f"<info bytes='{len(self.data)}' id='{self.id}' type='{escape(self.type or 'image/png')}'/>"
        return f"<metadata xmlns='{ns.AVATAR_METADATA}'>{info}</metadata>".encode()


def photo(card: bytes) -> Photo | None:
    """The vCard's first photo that is there as data. None: there is none, or it is not base64. Raises NotAnElement."""
    for found in several(read(card).get(f"{ns.VCARD}|vCard"), f"{ns.VCARD}|PHOTO"):
        if isinstance(found, dict):
            data = _decoded(found.get(f"{ns.VCARD}|BINVAL"))
            if data:
                type_ = found.get(f"{ns.VCARD}|TYPE")
                return Photo(data, type_.strip() if isinstance(type_, str) else "")
    return None


def with_photo(card: bytes, shown: Photo | None) -> bytes:
    """The vCard with this photo instead of those it has, and everything else as it was. Raises NotAnElement."""
    element = peek(card)
    kept = b"".join(child.raw for child in inner(element) if child.name != "PHOTO")
    if shown is not None:
        type_ = f"<TYPE>{escape(shown.type)}</TYPE>" if shown.type else ""
        kept += f"<PHOTO xmlns='{ns.VCARD}'>{type_}<BINVAL>{shown.encoded}</BINVAL></PHOTO>".encode()
    tag = element.raw[: element.head]
    begin = tag[:-2] + b">" if tag.endswith(b"/>") else tag
    return b"%b%b</%b>" % (begin, kept, qualified_name(tag))


def data(item: bytes) -> bytes:
    """The image in an `<item/>` of urn:xmpp:avatar:data; b"" if there is none. Raises NotAnElement."""
    payload = next(iter(read(item).values()))
    return _decoded(payload.get(f"{ns.AVATAR_DATA}|data")) if isinstance(payload, dict) else b""


def is_taken_back(metadata: bytes) -> bool:
    """Whether a payload of urn:xmpp:avatar:metadata says that there is no avatar any more. Raises NotAnElement."""
    return not peek(metadata).inner.strip()


def described(metadata: bytes) -> tuple[str, str] | None:
    """Of a payload of urn:xmpp:avatar:metadata: id and type of the image that was published with it (others are
    somewhere else). None: there is none. Raises NotAnElement.
    """
    for info in several(read(metadata).get(f"{ns.AVATAR_METADATA}|metadata"), f"{ns.AVATAR_METADATA}|info"):
        if isinstance(info, dict) and "@url" not in info and info.get("@id"):
            return info["@id"], info.get("@type", "")
    return None


def _decoded(text: Any) -> bytes:
    """Base64 in whatever lines (XEP-0153 section 4.6, rule 5); b"" for anything else."""
    if isinstance(text, dict):
        text = text.get("#text")
    if not isinstance(text, str):
        return b""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def advertised(x: bytes) -> str | None:
    """XEP-0153 section 4.1: what an `<x xmlns='vcard-temp:x:update'/>` says: a hash, "" for no avatar, None for not
    ready to say. Raises NotAnElement.
    """
    found = read(x).get(f"{ns.VCARD_UPDATE}|x")
    name = f"{ns.VCARD_UPDATE}|photo"
    if not isinstance(found, dict) or name not in found:
        return None
    value = found[name]
    if isinstance(value, dict):
        value = value.get("#text")
    return value.strip() if isinstance(value, str) else ""


def advertisement(hashed: str) -> bytes:
    """The `<x/>` that says it; "" for no avatar."""
    return f"<x xmlns='{ns.VCARD_UPDATE}'><photo>{hashed}</photo></x>".encode()
