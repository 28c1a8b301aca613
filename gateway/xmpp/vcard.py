"""XEP-0054 and XEP-0153: what a server reads in a vCard, its photo."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from gateway.xmpp import ns
from gateway.xmpp.payload import read, several

_PHOTO = f"{ns.VCARD}|PHOTO"


@dataclass(frozen=True, slots=True)
class Photo:
    """An avatar: the image itself and what its owner says that it is."""

    data: bytes
    type: str
    """e.g. `image/png`; "" if the vCard does not say"""

    @property
    def id(self) -> str:
        """SHA-1 in lower-case hexadecimal digits, the name of an avatar in XEP-0084 and XEP-0153."""
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()


def photo(card: bytes) -> Photo | None:
    """The first photo that is there as data. None: there is none, or its base64 is none. Raises NotAnElement."""
    for found in several(read(card).get(f"{ns.VCARD}|vCard"), _PHOTO):
        if isinstance(found, dict):
            data = _decoded(found.get(f"{ns.VCARD}|BINVAL"))
            if data:
                type_ = found.get(f"{ns.VCARD}|TYPE")
                return Photo(data, type_.strip() if isinstance(type_, str) else "")
    return None


def _decoded(text: object) -> bytes:
    """Base64 in whatever lines (XEP-0153 section 4.6, rule 5); b"" for anything else."""
    if not isinstance(text, str):
        return b""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
