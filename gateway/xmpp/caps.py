"""XEP-0115: Entity Capabilities 1.6: the verification string of what an entity answers to disco#info."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.xmpp import forms, ns
from gateway.xmpp.payload import read as read_payload
from gateway.xmpp.payload import several

HASHES: Final[Mapping[str, str]] = {
    "md5": "md5",
    "sha-1": "sha1",
    "sha-224": "sha224",
    "sha-256": "sha256",
    "sha-384": "sha384",
    "sha-512": "sha512",
    "sha3-256": "sha3_256",
    "sha3-512": "sha3_512",
}
"""The names of IANA's registry of hash functions -> those of hashlib."""

_IDENTITY: Final = f"{ns.DISCO_INFO}|identity"
_FEATURE: Final = f"{ns.DISCO_INFO}|feature"
_X: Final = f"{ns.DATA_FORMS}|x"
_FIELD: Final = f"{ns.DATA_FORMS}|field"


class IllFormed(ValueError):
    """XEP-0115 section 5.4: an answer that proves nothing, whatever its hash."""


@dataclass(frozen=True, slots=True)
class Described:
    """What an entity says of itself: identities as (category, type, name, xml:lang), features, extended information."""

    identities: tuple[tuple[str, str, str, str], ...]
    features: tuple[str, ...]
    forms: tuple[forms.Form, ...] = ()

    def check(self) -> None:
        """XEP-0115 section 5.4, rules 3.3 to 3.5: nothing twice. Raises IllFormed.

        Nor may anything hold the `<` that the verification string puts between its parts: two different answers could
        have one string ("Caps Poisoning" in section 9).
        """
        for what, found in (
            ("identity", self.identities),
            ("feature", self.features),
            ("FORM_TYPE", [form.form_type for form in self.forms]),
        ):
            if len(set(found)) != len(found):
                raise IllFormed(f"the same {what} twice")
        if any(len(set(form.fields[forms.FORM_TYPE])) > 1 for form in self.forms):
            raise IllFormed("a form of two types")
        texts = [*(part for identity in self.identities for part in identity), *self.features]
        texts += [text for form in self.forms for var, values in form.fields.items() for text in (var, *values)]
        if any("<" in text for text in texts):
            raise IllFormed("a part that holds the delimiter")


def verification(
    identities: Iterable[Sequence[str]],
    features: Iterable[str],
    extended: Iterable[forms.Form | bytes] = (),
    *,
    hash_name: str = "sha-1",
) -> str:
    """The verification string (XEP-0115 section 5.1).

    `identities` are (category, type, name) or (category, type, name, xml:lang); `extended` the forms of XEP-0128, as
    values or as elements. Raises KeyError for a hash function that is none of HASHES.
    """
    parts = sorted(_identity(*identity) for identity in identities)
    parts += sorted(feature.encode() for feature in features)
    read = [forms.read(form) if isinstance(form, bytes) else form for form in extended]
    for form in sorted(read, key=lambda form: form.form_type.encode()):
        parts += _extended(form)
    source = b"".join(part + b"<" for part in parts)
    return base64.b64encode(hashlib.new(HASHES[hash_name], source, usedforsecurity=False).digest()).decode()


def _identity(category: str, type_: str, name: str = "", lang: str = "") -> bytes:
    return f"{category}/{type_}/{lang}/{name}".encode()


def _extended(form: forms.Form) -> Iterable[bytes]:
    yield form.form_type.encode()
    for var, values in sorted((var.encode(), values) for var, values in form.fields.items()):
        if var != forms.FORM_TYPE.encode():
            yield var
            yield from sorted(value.encode() for value in values)


def read(query: bytes) -> Described:
    """Read a `<query xmlns='http://jabber.org/protocol/disco#info'/>`. Raises IllFormed, NotAnElement or StanzaError
    (a form that is none).

    Forms whose FORM_TYPE is not hidden, or that have none, are passed over (XEP-0115 section 5.4, rule 3.6).
    """
    found = read_payload(query).get(f"{ns.DISCO_INFO}|query")
    identities = [one for one in several(found, _IDENTITY) if isinstance(one, dict)]
    features = [one.get("@var") for one in several(found, _FEATURE) if isinstance(one, dict)]
    if not features or any(not feature for feature in features):
        raise IllFormed("no features, or one without a name")
    return Described(
        tuple(
            (one.get("@category", ""), one.get("@type", ""), one.get("@name", ""), one.get("@xml:lang", ""))
            for one in identities
        ),
        tuple(str(feature) for feature in features),
        tuple(forms.read(x) for x in several(found, _X) if _is_typed(x)),
    )


def _is_typed(x: Any) -> bool:
    return any(
        isinstance(field, dict) and field.get("@var") == forms.FORM_TYPE and field.get("@type") == "hidden"
        for field in several(x, _FIELD)
    )
