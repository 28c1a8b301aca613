"""Names and declarations as expat tells them with its namespace processing on: `namespace}local`, or `local` alone."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway.xmpp import ns
from gateway.xmpp.start_tag import write_attributes

SEPARATOR: Final = "}"
"""No namespace may contain it (RFC 3986), and expat refuses one that does."""

_LANG: Final = f"{ns.XML}{SEPARATOR}lang"

Declared = tuple[tuple[str, str], ...]
"""(prefix, namespace) each; the prefix is "" for the default namespace"""


@lru_cache(1024)
def split_name(name: str) -> tuple[str, str]:
    """Expat's name -> (namespace, local name)."""
    namespace, _, local = name.rpartition(SEPARATOR)
    return namespace, local


@lru_cache(256)
def primer_of(written: bytes, declared: Declared) -> tuple[bytes, Declared]:
    """The start tag that makes a new expat parser know what the header declared, and the prefixes among that. Nearly
    all streams are alike in this, and share it.
    """
    declarations = {f"xmlns:{prefix}" if prefix else "xmlns": uri for prefix, uri in declared}
    tag = b"<%b%b>" % (written, write_attributes(declarations))
    return tag, tuple([(prefix, uri) for prefix, uri in declared if prefix])


def without_prefixed(attrs: dict[str, str]) -> dict[str, str]:
    """The attributes without a namespace, and "xml:lang"."""
    plain = {name: value for name, value in attrs.items() if SEPARATOR not in name}
    if _LANG in attrs:
        plain["xml:lang"] = attrs[_LANG]
    return plain
