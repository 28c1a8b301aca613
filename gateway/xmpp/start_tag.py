"""XML 1.0 §3.1: start tags as bytes, for code that rewrites them and touches nothing else.

Everything here relies on the tag being well-formed: the parser has read it before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.xmpp.escape import escape

_TAG: Final = re.compile(rb"""<[^'">]*+(?:"[^"]*+"[^'">]*+|'[^']*+'[^'">]*+)*+>""")
_NAME: Final = re.compile(rb"[^\s/>]+")
_ATTRIBUTE: Final = re.compile(rb"""\s+([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
_REFERENCE: Final = re.compile("&(?:#x([0-9A-Fa-f]+)|#([0-9]+)|([a-z]+));|[\t\n]|\r\n?")
_PREDEFINED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def end_of_tag(source: bytes | bytearray, start: int = 0) -> int:
    """Where the tag that begins at `start` ends. Raises ValueError if there is no whole tag."""
    match = _TAG.match(source, start)
    if match is None:
        raise ValueError("no start tag")
    return match.end()


def qualified_name(source: bytes | bytearray, start: int = 0) -> bytes:
    """The name as it is written, with its prefix, of the tag that begins at `start`. Raises ValueError."""
    match = _NAME.match(source, start + 1)
    if match is None:
        raise ValueError("no start tag")
    return bytes(match[0])


def written_attributes(tag: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each attribute of the tag, declarations of namespaces among them: its name, and all of it as it is written, with
    the white space before.
    """
    for match in _ATTRIBUTE.finditer(tag):
        yield match[1], match[0]


def attributes(tag: bytes) -> dict[str, str]:
    """The attributes by their written names, values decoded (XML 1.0 §3.3.3)."""
    return {match[1].decode(): _value(match[2][1:-1].decode()) for match in _ATTRIBUTE.finditer(tag)}


def _value(written: str) -> str:
    return _REFERENCE.sub(_character, written)


def _character(match: re.Match[str]) -> str:
    hexadecimal, decimal, name = match.groups()
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    if decimal:
        return chr(int(decimal))
    return _PREDEFINED[name] if name else " "


def write_attributes(values: Mapping[str, str | None]) -> bytes:
    """` name='value'` for each value that is not None."""
    return "".join([f" {name}='{escape(value)}'" for name, value in values.items() if value is not None]).encode()
